-- Whether the attempt's log was removed, for its age or for the room that it took: 1 while that goes on, then 2.
ALTER TABLE attempts ADD COLUMN log_pruned INTEGER NOT NULL DEFAULT 0;
-- Logs that may be removed, the oldest first.
CREATE INDEX attempts_with_log ON attempts (finished_at)
    WHERE finished_at IS NOT NULL AND log_bytes > 0 AND log_pruned < 2;

-- Who refers to a row that is to be removed: without these, each removal would read a whole table.
CREATE INDEX jobs_of_original ON jobs (rerun_of) WHERE rerun_of IS NOT NULL;
CREATE INDEX jobs_of_predecessor ON jobs (follows) WHERE follows IS NOT NULL;
CREATE INDEX decisions_of_job ON decisions (job) WHERE job IS NOT NULL;
CREATE INDEX decisions_of_episode ON decisions (episode) WHERE episode IS NOT NULL;
CREATE INDEX alerts_of_episode ON alerts (last_episode);
