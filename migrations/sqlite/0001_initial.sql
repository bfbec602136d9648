-- Times are microseconds since 1970 in UTC. Ids are UUIDv7 as text, so they sort by time. JSON is text.

CREATE TABLE notifications (
    id               TEXT    NOT NULL PRIMARY KEY,
    received_at      INTEGER NOT NULL,
    sender           TEXT    NOT NULL,
    posted_by        TEXT    NOT NULL,
    receiver         TEXT    NOT NULL,
    group_key        TEXT    NOT NULL,
    alerts           INTEGER NOT NULL,
    truncated_alerts INTEGER NOT NULL,
    body             BLOB    NOT NULL -- zstd of the request's body, byte for byte
) STRICT;

CREATE TABLE episodes (
    id               TEXT    NOT NULL PRIMARY KEY,
    fingerprint      TEXT    NOT NULL,
    alertname        TEXT    NOT NULL,
    labels           TEXT    NOT NULL CHECK (json_valid(labels)),
    annotations      TEXT    NOT NULL CHECK (json_valid(annotations)),
    generator_url    TEXT    NOT NULL,
    starts_at        INTEGER NOT NULL,
    opened_at        INTEGER NOT NULL,
    last_received_at INTEGER NOT NULL,
    received         INTEGER NOT NULL, -- how many reports of it came
    ended_at         INTEGER,          -- the alert's own end
    closed_at        INTEGER,          -- when the gateway learned of it
    missed           INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX episodes_open ON episodes (fingerprint) WHERE closed_at IS NULL;
CREATE INDEX episodes_of_alert ON episodes (fingerprint, id);

-- One row for each fingerprint ever seen: what the list of alerts sorts by.
CREATE TABLE alerts (
    fingerprint      TEXT    NOT NULL PRIMARY KEY,
    last_episode     TEXT    NOT NULL REFERENCES episodes (id),
    last_received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX alerts_by_reception ON alerts (last_received_at, fingerprint);

CREATE TABLE jobs (
    id                  TEXT    NOT NULL PRIMARY KEY,
    status              TEXT    NOT NULL CHECK (status IN ('awaiting_approval', 'queued', 'running', 'verifying',
                                                           'succeeded', 'failed', 'canceled')),
    reason              TEXT,
    playbook            TEXT    NOT NULL,
    route               TEXT,
    target              TEXT    NOT NULL,
    trigger_kind        TEXT    NOT NULL CHECK (trigger_kind IN ('alert', 'rerun', 'manual', 'ladder')),
    triggered_by        TEXT    NOT NULL,
    rerun_of            TEXT    REFERENCES jobs (id),
    follows             TEXT    REFERENCES jobs (id),
    episode             TEXT    REFERENCES episodes (id),
    alertname           TEXT,
    fingerprint         TEXT,
    alert               TEXT    CHECK (alert IS NULL OR json_valid(alert)),
    alert_group         TEXT    CHECK (alert_group IS NULL OR json_valid(alert_group)),
    parameters          TEXT    NOT NULL CHECK (json_valid(parameters)),
    resolved_within     INTEGER, -- seconds
    created_at          INTEGER NOT NULL,
    run_at              INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    started_at          INTEGER,
    verify_until        INTEGER,
    finished_at         INTEGER,
    healed_at           INTEGER,
    healed_late         INTEGER NOT NULL DEFAULT 0,
    -- First in its target's line: it holds the target, or is the one that may take it next.
    front               INTEGER NOT NULL DEFAULT 0,
    -- A later job of the same episode and route has taken its place.
    superseded          INTEGER NOT NULL DEFAULT 0,
    fence               INTEGER NOT NULL DEFAULT 0,
    attempts            INTEGER NOT NULL DEFAULT 0,
    cancel_requested_at INTEGER,
    cancel_requested_by TEXT,
    CHECK ((reason IS NULL) = (status IN ('awaiting_approval', 'queued', 'running', 'verifying'))),
    CHECK ((finished_at IS NULL) = (reason IS NULL))
) STRICT;

-- An alert makes one job for each episode and route, however often it is repeated.
CREATE UNIQUE INDEX jobs_one_per_episode_and_route ON jobs (episode, route)
    WHERE trigger_kind = 'alert' AND superseded = 0;
-- One job at a time works on a target.
CREATE UNIQUE INDEX jobs_front_of_target ON jobs (target) WHERE front = 1;
-- Claims look at nothing but this: jobs whose target is busy are not in it.
CREATE INDEX jobs_ready ON jobs (run_at, id) WHERE status = 'queued' AND front = 1;
CREATE INDEX jobs_retrying ON jobs (run_at) WHERE status = 'queued' AND front = 1 AND attempts > 0;
CREATE INDEX jobs_in_line ON jobs (target, created_at, id) WHERE status = 'queued' AND front = 0;
CREATE INDEX jobs_expiring ON jobs (expires_at)
    WHERE status IN ('queued', 'awaiting_approval') AND attempts = 0;
CREATE INDEX jobs_verifying ON jobs (verify_until) WHERE status = 'verifying';
CREATE INDEX jobs_of_episode ON jobs (episode, id) WHERE episode IS NOT NULL;
CREATE INDEX jobs_by_status ON jobs (status, id);
CREATE INDEX jobs_by_reason ON jobs (reason, id);
CREATE INDEX jobs_by_playbook ON jobs (playbook, id);
CREATE INDEX jobs_by_route ON jobs (route, id);
CREATE INDEX jobs_by_target ON jobs (target, id);
CREATE INDEX jobs_by_alertname ON jobs (alertname, id);
CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint, id);
CREATE INDEX jobs_by_trigger ON jobs (trigger_kind, id);
CREATE INDEX jobs_by_creation ON jobs (created_at, id);

CREATE TABLE attempts (
    id            INTEGER NOT NULL PRIMARY KEY,
    job           TEXT    NOT NULL REFERENCES jobs (id),
    number        INTEGER NOT NULL,
    fence         INTEGER NOT NULL,
    outcome       TEXT,
    message       TEXT,
    exit_code     INTEGER,
    started_at    INTEGER NOT NULL,
    finished_at   INTEGER,
    worker        TEXT    NOT NULL,
    warm          INTEGER NOT NULL DEFAULT 0,
    log_bytes     INTEGER NOT NULL DEFAULT 0,
    log_truncated INTEGER NOT NULL DEFAULT 0,
    tasks         INTEGER NOT NULL DEFAULT 0,
    host_stats    TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(host_stats)),
    UNIQUE (job, number)
) STRICT;

CREATE TABLE log_chunks (
    attempt    INTEGER NOT NULL REFERENCES attempts (id),
    start      INTEGER NOT NULL, -- byte offset in the attempt's log
    length     INTEGER NOT NULL, -- bytes before compression
    compressed INTEGER NOT NULL, -- 1: data is zstd
    data       BLOB    NOT NULL,
    PRIMARY KEY (attempt, start)
) STRICT;

CREATE TABLE tasks (
    attempt  INTEGER NOT NULL REFERENCES attempts (id),
    position INTEGER NOT NULL, -- counts from 0, in the order of the results
    result   TEXT    NOT NULL CHECK (json_valid(result)),
    PRIMARY KEY (attempt, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_events (
    id      INTEGER NOT NULL PRIMARY KEY,
    job     TEXT    NOT NULL REFERENCES jobs (id),
    at      INTEGER NOT NULL,
    event   TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    attempt INTEGER,
    message TEXT    NOT NULL
) STRICT;

CREATE INDEX job_events_of_job ON job_events (job, id);

CREATE TABLE decisions (
    id           INTEGER NOT NULL PRIMARY KEY,
    notification TEXT    REFERENCES notifications (id),
    at           INTEGER NOT NULL,
    episode      TEXT    REFERENCES episodes (id),
    fingerprint  TEXT    NOT NULL,
    alertname    TEXT    NOT NULL,
    route        TEXT,
    decision     TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    job          TEXT    REFERENCES jobs (id)
) STRICT;

CREATE INDEX decisions_of_notification ON decisions (notification, id);
CREATE INDEX decisions_of_alert ON decisions (fingerprint, id);

-- Written to prove that the database takes writes.
CREATE TABLE probe (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO probe (id, count) VALUES (1, 0);
