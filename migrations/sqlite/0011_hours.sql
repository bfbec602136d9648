-- What statistics count of an hour that is over, so that nobody need count it again. Only a copy: it goes with any change
-- of what it was made from, and is made anew later.
CREATE TABLE hours (
    hour  INTEGER NOT NULL PRIMARY KEY,          -- so many since 1970
    facts TEXT    CHECK (facts IS NULL OR json_valid(facts)) -- NULL: it is being counted
) STRICT;

CREATE TRIGGER hours_job_inserted AFTER INSERT ON jobs BEGIN
    DELETE FROM hours WHERE hour = new.created_at / 3600000000;
END;
CREATE TRIGGER hours_job_ended AFTER UPDATE OF reason ON jobs BEGIN
    DELETE FROM hours WHERE hour = new.created_at / 3600000000;
END;
CREATE TRIGGER hours_job_deleted AFTER DELETE ON jobs BEGIN
    DELETE FROM hours WHERE hour = old.created_at / 3600000000;
END;
CREATE TRIGGER hours_episode_opened AFTER INSERT ON episodes BEGIN
    DELETE FROM hours WHERE hour = new.opened_at / 3600000000;
END;
CREATE TRIGGER hours_episode_deleted AFTER DELETE ON episodes BEGIN
    DELETE FROM hours WHERE hour = old.opened_at / 3600000000;
END;

-- It was what statistics read.
DROP INDEX jobs_ended;
