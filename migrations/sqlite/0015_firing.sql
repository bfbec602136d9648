-- Alerts that fire, in the order of the list of alerts: the last received last.
CREATE INDEX episodes_firing_by_reception ON episodes (last_received_at, fingerprint) WHERE closed_at IS NULL;
