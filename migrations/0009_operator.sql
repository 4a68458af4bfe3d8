-- What restarts of consumers go by, and what else the controller remembers of a VaultSecret.
ALTER TABLE syncs
    ADD COLUMN content_hash bytea NOT NULL DEFAULT '',
    ADD COLUMN content_changed_at timestamptz,
    ADD COLUMN restarts boolean NOT NULL DEFAULT false,
    ADD COLUMN soft_delete text COLLATE "C";
COMMENT ON COLUMN syncs.content_hash IS 'Keyed hash of the data of the Secret alone; empty while it is being made.';
COMMENT ON COLUMN syncs.content_changed_at IS 'When the data last changed while restarts were asked for; a workload that is older carries other data.';
COMMENT ON COLUMN syncs.soft_delete IS 'The record that is soft-deleted when the VaultSecret goes; null if it is retained.';

-- Workloads that use Secrets whose changes restart them.
CREATE TABLE workloads (
    cluster_id    uuid        NOT NULL,
    namespace     text        COLLATE "C" NOT NULL,
    kind          text        COLLATE "C" NOT NULL,
    name          text        COLLATE "C" NOT NULL,
    uid           text        COLLATE "C" NOT NULL,
    carried       jsonb       NOT NULL,
    seen_at       timestamptz NOT NULL,
    restarted_at  timestamptz,
    gating        boolean     NOT NULL,
    CONSTRAINT workloads_pkey PRIMARY KEY (cluster_id, namespace, kind, name),
    CONSTRAINT workloads_cluster_id_fkey FOREIGN KEY (cluster_id) REFERENCES clusters (id) ON DELETE CASCADE,
    CONSTRAINT workloads_kind_check CHECK (kind IN ('Deployment', 'StatefulSet', 'DaemonSet', 'Rollout'))
);
COMMENT ON COLUMN workloads.carried IS 'By Secret, the keyed hash of the data that the pods started with.';

INSERT INTO runtime_grants (table_name, privileges) VALUES
    ('workloads', 'SELECT, INSERT, UPDATE, DELETE');
