-- Why a run did not start from a warm interpreter; nothing for one that did, and where it is not known.
ALTER TABLE attempts ADD COLUMN cold_because TEXT;
