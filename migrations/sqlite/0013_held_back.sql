-- Who let an alert pass the storm limit, if a person did.
ALTER TABLE held ADD COLUMN released_by TEXT;
UPDATE held SET released_by = 'an operator' WHERE released = 1;
ALTER TABLE held DROP COLUMN released;

-- How often something was held back, and why, by time. As few as there are: what ran is not in it.
CREATE INDEX decisions_held_back ON decisions (at, decision)
    WHERE decision IN ('paused', 'tripped', 'held', 'flapping', 'capped', 'cooling_down', 'guarded');
