-- Who is signed in to the console. The cookie's value is not here: who reads the file cannot sign in with what it holds.
CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY,
    -- SHA-256 of the cookie's value.
    key          BLOB NOT NULL,
    token_name   TEXT NOT NULL,
    -- As in the settings: another token of that name is another one.
    token_sha256 BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sessions_by_key ON sessions (key);

-- Alerts that fire, the last begun first.
CREATE INDEX episodes_firing ON episodes (opened_at) WHERE closed_at IS NULL;
