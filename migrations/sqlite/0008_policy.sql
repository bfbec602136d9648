-- What the route asks for after its job has run: retries, the ladder, breakers.
ALTER TABLE jobs ADD COLUMN aftercare TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(aftercare));

-- Of a route that only observes: what it would have run.
ALTER TABLE decisions ADD COLUMN would_run TEXT CHECK (would_run IS NULL OR json_valid(would_run));

-- Of a route whose jobs people approve: how long one may wait once it is approved, in seconds.
ALTER TABLE jobs ADD COLUMN runs_within INTEGER;
-- What keeps a queued job from starting: a pause, a breaker, or as many runs of its route as may be.
ALTER TABLE jobs ADD COLUMN blocked_by TEXT;

-- Claims look only at what may start, and lines in front of targets pass over what may not.
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (run_at, id) WHERE status = 'queued' AND front = 1 AND blocked_by IS NULL;
DROP INDEX jobs_in_line;
CREATE INDEX jobs_in_line ON jobs (target, created_at, id) WHERE status = 'queued' AND front = 0 AND blocked_by IS NULL;
CREATE INDEX jobs_blocked ON jobs (blocked_by, created_at, id) WHERE status = 'queued' AND blocked_by IS NOT NULL;

-- What caps and cooldowns count.
CREATE INDEX jobs_of_place ON jobs (route, target, finished_at) WHERE route IS NOT NULL;
-- What breakers count.
CREATE INDEX jobs_failed_of_route ON jobs (route, finished_at) WHERE status = 'failed' AND route IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (finished_at) WHERE status = 'failed';
-- What flap detection counts.
CREATE INDEX jobs_healed ON jobs (fingerprint, route, finished_at) WHERE reason = 'healed';
-- How many of a route run.
CREATE INDEX jobs_running_of_route ON jobs (route) WHERE status = 'running';

-- The kill switch: all, route:NAME or target:NAME.
CREATE TABLE pauses (
    scope   TEXT    NOT NULL PRIMARY KEY,
    comment TEXT,
    by_whom TEXT    NOT NULL,
    since   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Circuit breakers that were ever open: all or route:NAME.
CREATE TABLE breakers (
    scope     TEXT    NOT NULL PRIMARY KEY,
    is_open   INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    opened_at INTEGER NOT NULL,
    until     INTEGER,            -- half-open from then on; NULL: until a person resets it
    pause     INTEGER,            -- how long it stays open each time, in seconds; NULL: a person has opened it
    trial     TEXT,               -- the job that tries
    closed_at INTEGER             -- what failed before does not count any more
) STRICT, WITHOUT ROWID;

-- Alerts whose route would make a job if nothing held it back.
CREATE TABLE held (
    episode   TEXT    NOT NULL REFERENCES episodes (id),
    route     TEXT    NOT NULL,
    decision  TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    due_at    INTEGER,            -- when it is decided again; NULL: when something happens
    released  INTEGER NOT NULL DEFAULT 0,
    posted_by TEXT    NOT NULL,
    alert     TEXT    NOT NULL CHECK (json_valid(alert)),
    alert_group TEXT  NOT NULL CHECK (json_valid(alert_group)),
    follows   TEXT    REFERENCES jobs (id), -- a rung of a ladder is held, which follows that job
    PRIMARY KEY (episode, route)
) STRICT, WITHOUT ROWID;

CREATE INDEX held_due ON held (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX held_by_decision ON held (decision, due_at);
CREATE INDEX held_of_place ON held (route, target);
CREATE INDEX held_of_rung ON held (follows) WHERE follows IS NOT NULL;
