-- A login of a workload that needs to know which namespace bears a name now says so, and the cluster's controller looks.

ALTER TABLE changes
    DROP CONSTRAINT changes_kind_check,
    ADD CONSTRAINT changes_kind_check CHECK (kind IN ('record', 'policy', 'sync', 'root', 'config', 'session', 'namespace'));
