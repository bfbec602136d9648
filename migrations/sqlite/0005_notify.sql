-- Whom to tell of which events of the job: {"to": [names of notifiers], "events": [words]}.
ALTER TABLE jobs ADD COLUMN notify TEXT CHECK (notify IS NULL OR json_valid(notify));

-- What people are to be told: a row for each notifier.
CREATE TABLE outbox (
    id         INTEGER NOT NULL PRIMARY KEY,
    job        TEXT    REFERENCES jobs (id),
    -- What makes an announcement this one; it is about no job and has its own words.
    key        TEXT,
    title      TEXT,
    text       TEXT,
    event      TEXT    NOT NULL,
    notifier   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0, -- in vain
    state      TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed', 'dropped')),
    settled_at INTEGER,
    last_error TEXT,
    CHECK ((job IS NULL) <> (key IS NULL)),
    CHECK (key IS NULL OR (title IS NOT NULL AND text IS NOT NULL)),
    CHECK ((settled_at IS NULL) = (state = 'pending'))
) STRICT;

-- Each notifier is told once of each event.
CREATE UNIQUE INDEX outbox_once_per_job ON outbox (job, event, notifier) WHERE job IS NOT NULL;
CREATE UNIQUE INDEX outbox_once_per_key ON outbox (key, event, notifier) WHERE key IS NOT NULL;
CREATE INDEX outbox_due ON outbox (notifier, due_at, id) WHERE state = 'pending';
