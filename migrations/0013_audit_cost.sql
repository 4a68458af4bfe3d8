-- Hashes do not get smaller, and ids hardly, for what it costs to try.
ALTER TABLE audit_leaves ALTER COLUMN hashes SET STORAGE EXTERNAL, ALTER COLUMN entry_ids SET STORAGE EXTERNAL;

-- The sums of a day are updated every second: a new version that fits beside the old one changes no index.
ALTER TABLE access_daily SET (fillfactor = 50);
