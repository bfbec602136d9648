-- What the person who made the job asked for beyond the catalogue.
ALTER TABLE jobs ADD COLUMN by_hand TEXT CHECK (by_hand IS NULL OR json_valid(by_hand));
-- What the catalogue says otherwise than for the job that this one repeats.
ALTER TABLE jobs ADD COLUMN changes TEXT CHECK (changes IS NULL OR json_valid(changes));
