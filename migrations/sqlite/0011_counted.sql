-- What statistics count of an hour that is over, so that nobody need count it again. Only a copy: it goes with any change
-- of what it was made from, and is made anew later.
CREATE TABLE hours (
    hour  INTEGER NOT NULL PRIMARY KEY,          -- so many since 1970
    facts TEXT    CHECK (facts IS NULL OR json_valid(facts)) -- NULL: it is being counted
) STRICT;

-- How many jobs are over; those that are not are few.
CREATE TABLE ended_jobs (
    status TEXT    NOT NULL PRIMARY KEY CHECK (status IN ('succeeded', 'failed', 'canceled')),
    jobs   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO ended_jobs VALUES ('succeeded', 0), ('failed', 0), ('canceled', 0);
UPDATE ended_jobs SET jobs = counted.jobs
FROM   (SELECT status, COUNT(*) AS jobs FROM jobs INDEXED BY jobs_by_kind GROUP BY status) AS counted
WHERE  counted.status = ended_jobs.status;

CREATE TRIGGER job_inserted AFTER INSERT ON jobs BEGIN
    DELETE FROM hours WHERE hour = new.created_at / 3600000000;
    UPDATE ended_jobs SET jobs = jobs + 1 WHERE status = new.status;
END;
CREATE TRIGGER job_ended AFTER UPDATE OF reason ON jobs BEGIN
    DELETE FROM hours WHERE hour = new.created_at / 3600000000;
    UPDATE ended_jobs SET jobs = jobs + 1 WHERE status = new.status AND old.reason IS NULL;
END;
CREATE TRIGGER job_deleted AFTER DELETE ON jobs BEGIN
    DELETE FROM hours WHERE hour = old.created_at / 3600000000;
    UPDATE ended_jobs SET jobs = jobs - 1 WHERE status = old.status;
END;
CREATE TRIGGER episode_opened AFTER INSERT ON episodes BEGIN
    DELETE FROM hours WHERE hour = new.opened_at / 3600000000;
END;
CREATE TRIGGER episode_deleted AFTER DELETE ON episodes BEGIN
    DELETE FROM hours WHERE hour = old.opened_at / 3600000000;
END;

-- It was what statistics read.
DROP INDEX jobs_ended;
