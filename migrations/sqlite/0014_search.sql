-- Every target and the labels of every alert that jobs have, each once, by all parts of three characters that their words
-- have. Written some time after the jobs, so that no notification waits for it.
CREATE TABLE search_names (
    id   INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('target', 'fingerprint')),
    name TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;
CREATE VIRTUAL TABLE search_texts USING fts5(text, content='', contentless_delete=1, tokenize='trigram case_sensitive 1');

-- Jobs whose target and labels are not among them yet.
CREATE TABLE search_backlog (job TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO search_backlog (job) SELECT id FROM jobs;
CREATE TRIGGER jobs_to_search AFTER INSERT ON jobs BEGIN
    INSERT INTO search_backlog (job) VALUES (NEW.id);
END;
