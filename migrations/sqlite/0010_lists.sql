-- Lists of jobs, newest first: whatever filters come together, these answer without reading jobs that are not on the page.
DROP INDEX jobs_by_status;
DROP INDEX jobs_by_reason;
DROP INDEX jobs_by_playbook;
DROP INDEX jobs_by_route;
DROP INDEX jobs_by_target;
DROP INDEX jobs_by_alertname;
DROP INDEX jobs_by_fingerprint;
DROP INDEX jobs_by_trigger;
DROP INDEX jobs_by_creation;
CREATE INDEX jobs_by_creation ON jobs (created_at, id);
CREATE INDEX jobs_by_target ON jobs (target, created_at, id, status, reason, route, playbook, alertname, trigger_kind);
CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint, created_at, id);
CREATE INDEX jobs_by_kind ON jobs (status, reason, route, playbook, alertname, trigger_kind, created_at, id);

-- Which of these have ever come together: a few dozen rows, however many jobs there are.
CREATE TABLE job_kinds (
    route        TEXT,
    playbook     TEXT NOT NULL,
    alertname    TEXT,
    trigger_kind TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX job_kinds_once ON job_kinds (COALESCE(route, ''), playbook, COALESCE(alertname, ''), trigger_kind);
INSERT INTO job_kinds SELECT DISTINCT route, playbook, alertname, trigger_kind FROM jobs;
