-- What is asked of Prometheus and Alertmanager about the job: precondition, verify_query, silence.
ALTER TABLE jobs ADD COLUMN checks TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(checks));
