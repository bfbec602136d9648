-- What the end of the alert means for the job while it runs: ignore or cancel.
ALTER TABLE jobs ADD COLUMN on_resolved TEXT NOT NULL DEFAULT 'ignore' CHECK (on_resolved IN ('ignore', 'cancel'));
-- The reason with which a job ends that was asked to stop: canceled or resolved_meanwhile.
ALTER TABLE jobs ADD COLUMN cancel_reason TEXT;
UPDATE jobs SET cancel_reason = 'canceled' WHERE cancel_requested_at IS NOT NULL;
