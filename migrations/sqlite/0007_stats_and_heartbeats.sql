-- Whether the job only says what would change: it heals nothing, and is not counted.
ALTER TABLE jobs ADD COLUMN check_mode INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET check_mode = 1 WHERE parameters ->> 'check' = 1;

-- What statistics count: written once, when a job is finished.
CREATE INDEX jobs_ended ON jobs (created_at, check_mode, route, playbook, target, status, reason, resolved_within,
                                 episode, healed_at)
    WHERE reason IS NOT NULL;
CREATE INDEX episodes_by_opening ON episodes (opened_at, fingerprint);

-- The last sign of life of each route with a heartbeat.
CREATE TABLE heartbeats (
    route            TEXT    NOT NULL PRIMARY KEY,
    watched_since    INTEGER NOT NULL,
    last_received_at INTEGER
) STRICT, WITHOUT ROWID;

-- Each time that a heartbeat stayed away.
CREATE TABLE heartbeat_misses (
    id               INTEGER NOT NULL PRIMARY KEY,
    route            TEXT    NOT NULL,
    last_received_at INTEGER,          -- NULL: it never came
    missed_since     INTEGER NOT NULL, -- when it should have come at the latest
    back_at          INTEGER           -- NULL: it is missed still
) STRICT;

CREATE UNIQUE INDEX heartbeat_misses_open ON heartbeat_misses (route) WHERE back_at IS NULL;
