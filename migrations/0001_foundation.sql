-- Clusters, roots, keys, records, policies, syncs, the change feed, audit, users and sessions.
-- Text that is compared or ranged over is COLLATE "C": the order of bytes, on every server.

CREATE TABLE clusters (
    id                      uuid        CONSTRAINT clusters_pkey PRIMARY KEY,
    prefix                  text        COLLATE "C" NOT NULL,
    kube_system_uid         text        COLLATE "C" NOT NULL,
    platform                boolean     NOT NULL,
    deletions_confirmed_at  timestamptz,
    created_at              timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT clusters_prefix_key UNIQUE (prefix),
    CONSTRAINT clusters_prefix_check CHECK (prefix ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' AND prefix <> 'users')
);
COMMENT ON TABLE clusters IS 'The only source of cluster prefixes; a prefix belongs to one kube-system uid.';

CREATE TABLE roots (
    id             uuid        CONSTRAINT roots_pkey PRIMARY KEY,
    kind           text        COLLATE "C" NOT NULL,
    path           text        COLLATE "C" NOT NULL,
    namespace_uid  text        COLLATE "C",
    state          text        COLLATE "C" NOT NULL DEFAULT 'active',
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT roots_path_key UNIQUE (path),
    CONSTRAINT roots_kind_check CHECK (kind IN ('namespace', 'user', 'shared', 'system')),
    CONSTRAINT roots_state_check CHECK (state IN ('active', 'orphaned', 'shredded')),
    CONSTRAINT roots_namespace_uid_check CHECK (namespace_uid IS NULL OR kind = 'namespace')
);
-- The vault's own keys hang on a root as well; no record path can reach it, since none begins with a dot.
INSERT INTO roots (id, kind, path) VALUES ('00000000-0000-0000-0000-000000000000', 'system', '.system');

CREATE TABLE keks (
    id             uuid        CONSTRAINT keks_pkey PRIMARY KEY,
    root_id        uuid        NOT NULL,
    purpose        text        COLLATE "C" NOT NULL,
    generation     integer     NOT NULL,
    root_key_id    text        COLLATE "C" NOT NULL,
    wrapped        bytea       NOT NULL,
    uses_reserved  bigint      NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT keks_root_id_fkey FOREIGN KEY (root_id) REFERENCES roots (id),
    CONSTRAINT keks_lineage_key UNIQUE (root_id, purpose, generation),
    CONSTRAINT keks_purpose_check CHECK (purpose IN ('data', 'mac', 'system')),
    CONSTRAINT keks_generation_check CHECK (generation >= 1),
    CONSTRAINT keks_uses_reserved_check CHECK (uses_reserved >= 0)
);

CREATE TABLE key_sentinel (
    singleton    boolean     CONSTRAINT key_sentinel_pkey PRIMARY KEY DEFAULT true,
    root_key_id  text        COLLATE "C" NOT NULL,
    sealed       bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT key_sentinel_singleton_check CHECK (singleton)
);
COMMENT ON TABLE key_sentinel IS 'Opened at start: a wrong or missing root key refuses to start and never makes a new one.';

CREATE TABLE secrets (
    id               uuid        CONSTRAINT secrets_pkey PRIMARY KEY,
    root_id          uuid        NOT NULL,
    path             text        COLLATE "C" NOT NULL,
    current_version  bigint      NOT NULL,
    revision         bigint      NOT NULL DEFAULT 1,
    max_versions     bigint      NOT NULL,
    managed_by       text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT secrets_path_key UNIQUE (path),
    CONSTRAINT secrets_root_id_fkey FOREIGN KEY (root_id) REFERENCES roots (id),
    CONSTRAINT secrets_current_version_check CHECK (current_version >= 1),
    CONSTRAINT secrets_max_versions_check CHECK (max_versions BETWEEN 1 AND 1000)
) WITH (fillfactor = 80);
COMMENT ON COLUMN secrets.revision IS 'Rises with every change of the record; a cached read is confirmed against it.';

CREATE TABLE secret_versions (
    secret_id    uuid        NOT NULL,
    version      bigint      NOT NULL,
    state        text        COLLATE "C" NOT NULL DEFAULT 'live',
    wrapped_dek  bytea,
    ciphertext   bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    deleted_at   timestamptz,
    CONSTRAINT secret_versions_pkey PRIMARY KEY (secret_id, version),
    CONSTRAINT secret_versions_secret_id_fkey FOREIGN KEY (secret_id) REFERENCES secrets (id) ON DELETE CASCADE,
    CONSTRAINT secret_versions_version_check CHECK (version >= 1),
    CONSTRAINT secret_versions_state_check CHECK (
        (state IN ('live', 'deleted') AND wrapped_dek IS NOT NULL AND ciphertext IS NOT NULL)
        OR (state = 'destroyed' AND wrapped_dek IS NULL AND ciphertext IS NULL)
    )
);
-- Ciphertext does not compress.
ALTER TABLE secret_versions ALTER COLUMN ciphertext SET STORAGE EXTERNAL;

CREATE TABLE policies (
    id            uuid        CONSTRAINT policies_pkey PRIMARY KEY,
    cluster_id    uuid,
    namespace     text        COLLATE "C" NOT NULL,
    name          text        COLLATE "C" NOT NULL,
    resource_uid  text        COLLATE "C",
    crd_uid       text        COLLATE "C",
    generation    bigint      NOT NULL,
    scope         text        COLLATE "C" NOT NULL,
    document      jsonb       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT policies_cluster_id_fkey FOREIGN KEY (cluster_id) REFERENCES clusters (id),
    CONSTRAINT policies_name_key UNIQUE NULLS NOT DISTINCT (cluster_id, namespace, name)
);
COMMENT ON COLUMN policies.crd_uid IS 'A CRD that was deleted and made again must not look like the end of every policy that came through it.';

CREATE TABLE policy_epoch (
    singleton  boolean CONSTRAINT policy_epoch_pkey PRIMARY KEY DEFAULT true,
    epoch      bigint  NOT NULL,
    CONSTRAINT policy_epoch_singleton_check CHECK (singleton)
);
COMMENT ON TABLE policy_epoch IS 'Rises with every change of a policy or of a root''s binding; reads and writes confirm the epoch they were decided in.';
INSERT INTO policy_epoch (epoch) VALUES (1);

CREATE TABLE syncs (
    uid                      text        COLLATE "C" NOT NULL,
    cluster_id               uuid        NOT NULL,
    namespace                text        COLLATE "C" NOT NULL,
    name                     text        COLLATE "C" NOT NULL,
    generation               bigint      NOT NULL,
    crd_uid                  text        COLLATE "C" NOT NULL,
    delete_with_owner        boolean     NOT NULL,
    secret_name              text        COLLATE "C" NOT NULL,
    secret_uid               text        COLLATE "C" NOT NULL,
    secret_resource_version  text        COLLATE "C" NOT NULL,
    data_hash                bytea       NOT NULL,
    records                  jsonb       NOT NULL,
    updated_at               timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT syncs_pkey PRIMARY KEY (cluster_id, uid),
    CONSTRAINT syncs_cluster_id_fkey FOREIGN KEY (cluster_id) REFERENCES clusters (id)
) WITH (fillfactor = 80);

-- A row says what to look at, never what is so. `xid` is the writing transaction: readers resume by snapshot, not by id.
CREATE TABLE changes (
    id       bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT changes_pkey PRIMARY KEY,
    xid      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    at       timestamptz NOT NULL DEFAULT now(),
    kind     text        COLLATE "C" NOT NULL,
    subject  text        COLLATE "C" NOT NULL,
    CONSTRAINT changes_kind_check CHECK (kind IN ('record', 'policy', 'sync', 'root', 'config', 'session'))
);
CREATE INDEX changes_xid_idx ON changes (xid);

CREATE TABLE audit_entries (
    id             bigint      GENERATED ALWAYS AS IDENTITY,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    request_id     uuid        NOT NULL,
    actor_kind     text        COLLATE "C" NOT NULL,
    actor_id       text        COLLATE "C" NOT NULL,
    actor_name     text        COLLATE "C" NOT NULL,
    door           text        COLLATE "C" NOT NULL,
    action         text        COLLATE "C" NOT NULL,
    resource       text        COLLATE "C" NOT NULL,
    version        bigint,
    decision       text        COLLATE "C" NOT NULL,
    reason         text        COLLATE "C" NOT NULL,
    policy         text        COLLATE "C",
    rule           integer,
    client         text        COLLATE "C",
    user_agent     text        COLLATE "C",
    origin_uid     text        COLLATE "C",
    origin_generation bigint,
    CONSTRAINT audit_entries_decision_check CHECK (decision IN ('allow', 'deny', 'fail'))
) PARTITION BY RANGE (at);
CREATE INDEX audit_entries_at_idx ON audit_entries USING brin (at);

-- Makes the partitions of today and the `ahead` days after it, by the database's clock. Answers how many days are ready.
CREATE FUNCTION audit_make_partitions(ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    day  date;
    part text;
BEGIN
    IF ahead NOT BETWEEN 0 AND 60 THEN
        RAISE EXCEPTION 'audit_make_partitions: ahead must be between 0 and 60';
    END IF;
    -- Two processes that start together would both try; the second waits and finds the work done.
    PERFORM pg_advisory_xact_lock(hashtext('audit_make_partitions'));
    FOR day IN SELECT generate_series(0, ahead) + (now() AT TIME ZONE 'UTC')::date LOOP
        part := 'audit_entries_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(part) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF audit_entries FOR VALUES FROM (%L) TO (%L)',
                part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
            );
        END IF;
    END LOOP;
    RETURN ahead + 1;
END
$$;
REVOKE ALL ON FUNCTION audit_make_partitions(integer) FROM PUBLIC;
SELECT audit_make_partitions(14);

CREATE TABLE users (
    id                    uuid        CONSTRAINT users_pkey PRIMARY KEY,
    name                  text        COLLATE "C" NOT NULL,
    role                  text        COLLATE "C" NOT NULL,
    password_hash         text        NOT NULL,
    must_change_password  boolean     NOT NULL DEFAULT false,
    disabled_at           timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_name_key UNIQUE (name),
    CONSTRAINT users_role_check CHECK (role IN ('admin', 'auditor', 'user'))
);

CREATE TABLE sessions (
    id          uuid        CONSTRAINT sessions_pkey PRIMARY KEY,
    user_id     uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

CREATE TABLE signing_keys (
    kid          text        COLLATE "C" CONSTRAINT signing_keys_pkey PRIMARY KEY,
    id           uuid        NOT NULL,
    wrapped_dek  bytea       NOT NULL,
    ciphertext   bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT signing_keys_id_key UNIQUE (id)
);

CREATE TABLE system_config (
    key         text        COLLATE "C" CONSTRAINT system_config_pkey PRIMARY KEY,
    value       jsonb       NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- Gives the serving role what it needs and nothing more: audit entries can be added and read, never changed or removed.
CREATE FUNCTION grant_runtime(role_name text) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON clusters, roots, keks, policies, policy_epoch, secrets, secret_versions, syncs, users, sessions, system_config TO %I', role_name);
    EXECUTE format('GRANT DELETE ON secrets, secret_versions, policies, syncs, sessions, changes TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT ON key_sentinel, signing_keys, changes, audit_entries TO %I', role_name);
    EXECUTE format('GRANT SELECT ON _sqlx_migrations TO %I', role_name);
    EXECUTE format('GRANT EXECUTE ON FUNCTION audit_make_partitions(integer) TO %I', role_name);
    BEGIN
        EXECUTE format('ALTER ROLE %I SET statement_timeout = ''30s''', role_name);
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''10s''', role_name);
    EXCEPTION WHEN insufficient_privilege THEN
        -- The owner may not alter other roles; the process sets the same timeouts on each connection.
        NULL;
    END;
END
$$;
REVOKE ALL ON FUNCTION grant_runtime(text) FROM PUBLIC;
