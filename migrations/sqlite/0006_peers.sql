-- What is asked of Prometheus and Alertmanager about the job: precondition, verify_query, silence.
ALTER TABLE jobs ADD COLUMN checks TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(checks));

-- It was closed because Alertmanager was asked, before its `resolved` came: Alertmanager will not report it if it fires again
-- before that.
ALTER TABLE episodes ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX episodes_asked ON episodes (closed_at) WHERE asked = 1;
