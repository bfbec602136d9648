-- What people did to the gateway as a whole, and not to a job: what was let go leaves no other row that could name them.
-- Only the newest are kept.
CREATE TABLE acts (
    id      INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    by_whom TEXT    NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('paused', 'resumed', 'opened_breaker', 'closed_breaker', 'released')),
    scope   TEXT    NOT NULL, -- all, route:NAME or target:NAME
    comment TEXT
) STRICT;
