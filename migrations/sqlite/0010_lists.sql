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
CREATE INDEX jobs_by_creation ON jobs (created_at, id, status, reason, route, playbook, alertname, trigger_kind);
CREATE INDEX jobs_by_target ON jobs (target, created_at, id, status, reason, route, playbook, alertname, trigger_kind);
CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint, created_at, id);
CREATE INDEX jobs_by_kind ON jobs (status, reason, route, playbook, alertname, trigger_kind, created_at, id);

-- How many jobs there are of each combination of these: a few hundred rows, however many jobs there are. Once a kind, always
-- one: it may come to no jobs.
CREATE TABLE job_kinds (
    status       TEXT    NOT NULL,
    reason       TEXT,
    route        TEXT,
    playbook     TEXT    NOT NULL,
    alertname    TEXT,
    trigger_kind TEXT    NOT NULL,
    jobs         INTEGER NOT NULL
) STRICT;
INSERT INTO job_kinds
SELECT   status, reason, route, playbook, alertname, trigger_kind, COUNT(*)
FROM     jobs INDEXED BY jobs_by_kind
GROUP BY status, reason, route, playbook, alertname, trigger_kind;
CREATE UNIQUE INDEX job_kinds_once ON job_kinds (status, COALESCE(reason, ''), COALESCE(route, ''), playbook,
                                                 COALESCE(alertname, ''), trigger_kind);

CREATE TRIGGER job_kinds_new AFTER INSERT ON jobs BEGIN
    INSERT INTO job_kinds (status, reason, route, playbook, alertname, trigger_kind, jobs)
    VALUES (NEW.status, NEW.reason, NEW.route, NEW.playbook, NEW.alertname, NEW.trigger_kind, 1)
    ON CONFLICT (status, COALESCE(reason, ''), COALESCE(route, ''), playbook, COALESCE(alertname, ''), trigger_kind)
    DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER job_kinds_gone AFTER DELETE ON jobs BEGIN
    UPDATE job_kinds
    SET    jobs = jobs - 1
    WHERE  status = OLD.status AND COALESCE(reason, '') = COALESCE(OLD.reason, '')
    AND    COALESCE(route, '') = COALESCE(OLD.route, '') AND playbook = OLD.playbook
    AND    COALESCE(alertname, '') = COALESCE(OLD.alertname, '') AND trigger_kind = OLD.trigger_kind;
END;
CREATE TRIGGER job_kinds_moved AFTER UPDATE OF status, reason ON jobs BEGIN
    UPDATE job_kinds
    SET    jobs = jobs - 1
    WHERE  status = OLD.status AND COALESCE(reason, '') = COALESCE(OLD.reason, '')
    AND    COALESCE(route, '') = COALESCE(OLD.route, '') AND playbook = OLD.playbook
    AND    COALESCE(alertname, '') = COALESCE(OLD.alertname, '') AND trigger_kind = OLD.trigger_kind;
    INSERT INTO job_kinds (status, reason, route, playbook, alertname, trigger_kind, jobs)
    VALUES (NEW.status, NEW.reason, NEW.route, NEW.playbook, NEW.alertname, NEW.trigger_kind, 1)
    ON CONFLICT (status, COALESCE(reason, ''), COALESCE(route, ''), playbook, COALESCE(alertname, ''), trigger_kind)
    DO UPDATE SET jobs = jobs + 1;
END;
