-- What a record says of itself, when its versions and it itself go, what prefixes ask for, quotas of roots, values wrapped for one reader.

ALTER TABLE secrets
    ALTER COLUMN max_versions DROP NOT NULL,
    ADD COLUMN cas_required boolean NOT NULL DEFAULT false,
    ADD COLUMN delete_version_after bigint,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN description text NOT NULL DEFAULT '',
    ADD COLUMN owner text NOT NULL DEFAULT '',
    ADD COLUMN tags text[] COLLATE "C" NOT NULL DEFAULT '{}',
    ADD COLUMN custom jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN deleted_at timestamptz,
    ADD CONSTRAINT secrets_delete_version_after_check CHECK (delete_version_after BETWEEN 1 AND 3153600000),
    ADD CONSTRAINT secrets_tags_check CHECK (cardinality(tags) <= 32),
    ADD CONSTRAINT secrets_custom_check CHECK (jsonb_typeof(custom) = 'object');
COMMENT ON COLUMN secrets.max_versions IS 'Versions kept; absent: what the prefix says, or the default.';
COMMENT ON COLUMN secrets.delete_version_after IS 'Seconds after which a version written from now on counts as deleted.';
COMMENT ON COLUMN secrets.deleted_at IS 'The whole record was deleted, and can be restored until its retention ends.';
CREATE INDEX secrets_root_id_idx ON secrets (root_id);
CREATE INDEX secrets_tags_idx ON secrets USING gin (tags);
CREATE INDEX secrets_custom_idx ON secrets USING gin (custom jsonb_path_ops);
CREATE INDEX secrets_expires_at_idx ON secrets (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX secrets_deleted_at_idx ON secrets (deleted_at) WHERE deleted_at IS NOT NULL;

ALTER TABLE secret_versions ADD COLUMN delete_at timestamptz;
COMMENT ON COLUMN secret_versions.delete_at IS 'From here on the version counts as deleted, by this server''s clock.';
CREATE INDEX secret_versions_delete_at_idx ON secret_versions (delete_at) WHERE delete_at IS NOT NULL AND state <> 'destroyed';

-- What a version counts as now: what was written of it, its own end, and the end of the whole record.
CREATE FUNCTION version_state(state text, delete_at timestamptz, record_deleted_at timestamptz) RETURNS text
    LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN state = 'live' AND (record_deleted_at IS NOT NULL OR delete_at <= now()) THEN 'deleted' ELSE state END
$$;

-- What writes below a prefix are held to. Part of the policy epoch, so that a write is confirmed against them.
CREATE TABLE path_settings (
    prefix                text        COLLATE "C" CONSTRAINT path_settings_pkey PRIMARY KEY,
    cas_required          boolean     NOT NULL DEFAULT false,
    max_versions          bigint,
    delete_version_after  bigint,
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT path_settings_max_versions_check CHECK (max_versions BETWEEN 1 AND 1000),
    CONSTRAINT path_settings_delete_version_after_check CHECK (delete_version_after BETWEEN 1 AND 3153600000)
);

-- Quotas, and what is used of them. A root without a row has none, and nothing is counted for it.
CREATE TABLE root_quotas (
    root_id                uuid        CONSTRAINT root_quotas_pkey PRIMARY KEY,
    max_records            bigint,
    max_bytes              bigint,
    max_writes_per_second  bigint,
    records                bigint      NOT NULL,
    bytes                  bigint      NOT NULL,
    window_start           timestamptz NOT NULL DEFAULT '-infinity',
    window_writes          bigint      NOT NULL DEFAULT 0,
    updated_at             timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT root_quotas_root_id_fkey FOREIGN KEY (root_id) REFERENCES roots (id),
    CONSTRAINT root_quotas_max_records_check CHECK (max_records >= 0),
    CONSTRAINT root_quotas_max_bytes_check CHECK (max_bytes >= 0),
    CONSTRAINT root_quotas_max_writes_per_second_check CHECK (max_writes_per_second >= 1)
) WITH (fillfactor = 50);

-- Counts in the transaction that changes something, so that no way around it is left; refuses growth beyond a quota.
CREATE FUNCTION count_against_quota(root uuid, more_records bigint, more_bytes bigint, more_writes bigint) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    quota  public.root_quotas;
BEGIN
    UPDATE public.root_quotas q
    SET records = q.records + more_records,
        bytes = q.bytes + more_bytes,
        window_writes = CASE WHEN q.window_start <= moment - interval '1 second' THEN more_writes ELSE q.window_writes + more_writes END,
        window_start = CASE WHEN q.window_start <= moment - interval '1 second' THEN moment ELSE q.window_start END
    WHERE q.root_id = root
    RETURNING q.* INTO quota;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF more_records > 0 AND quota.records > quota.max_records THEN
        RAISE EXCEPTION 'quota of records' USING ERRCODE = 'check_violation', CONSTRAINT = 'root_quotas_records';
    END IF;
    IF more_bytes > 0 AND quota.bytes > quota.max_bytes THEN
        RAISE EXCEPTION 'quota of bytes' USING ERRCODE = 'check_violation', CONSTRAINT = 'root_quotas_bytes';
    END IF;
    IF more_writes > 0 AND quota.window_writes > quota.max_writes_per_second THEN
        RAISE EXCEPTION 'quota of writes' USING ERRCODE = 'check_violation', CONSTRAINT = 'root_quotas_writes';
    END IF;
END
$$;

CREATE FUNCTION count_secret() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    size bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM public.count_against_quota(NEW.root_id, 1, 0, 0);
        RETURN NEW;
    END IF;
    SELECT COALESCE(sum(octet_length(v.ciphertext)), 0) INTO size FROM public.secret_versions v WHERE v.secret_id = OLD.id;
    PERFORM public.count_against_quota(OLD.root_id, -1, -size, 0);
    IF TG_OP = 'UPDATE' THEN
        PERFORM public.count_against_quota(NEW.root_id, 1, size, 1);
        RETURN NEW;
    END IF;
    RETURN OLD;
END
$$;
-- Before a deletion: its versions go with the record, and then it is too late to ask whose they were.
CREATE TRIGGER secrets_quota_insert AFTER INSERT ON secrets FOR EACH ROW EXECUTE FUNCTION count_secret();
CREATE TRIGGER secrets_quota_delete BEFORE DELETE ON secrets FOR EACH ROW EXECUTE FUNCTION count_secret();
CREATE TRIGGER secrets_quota_move AFTER UPDATE OF root_id ON secrets FOR EACH ROW
    WHEN (OLD.root_id <> NEW.root_id) EXECUTE FUNCTION count_secret();

CREATE FUNCTION count_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    root  uuid;
    grown bigint := COALESCE(octet_length(NEW.ciphertext), 0) - COALESCE(octet_length(OLD.ciphertext), 0);
BEGIN
    SELECT s.root_id INTO root FROM public.secrets s WHERE s.id = COALESCE(NEW.secret_id, OLD.secret_id);
    IF FOUND THEN
        PERFORM public.count_against_quota(root, 0, grown, CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE 0 END);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER secret_versions_quota AFTER INSERT OR DELETE OR UPDATE OF ciphertext ON secret_versions
    FOR EACH ROW EXECUTE FUNCTION count_version();

-- Values behind a token that is good once. The row stays until its end, so that a second use is told from a token that never was.
CREATE TABLE wraps (
    id           uuid        CONSTRAINT wraps_pkey PRIMARY KEY,
    hash         bytea       NOT NULL,
    root_id      uuid        NOT NULL,
    path         text        COLLATE "C" NOT NULL,
    version      bigint      NOT NULL,
    maker        text        COLLATE "C" NOT NULL,
    user_id      uuid,
    api_key_id   uuid,
    wrapped_dek  bytea,
    ciphertext   bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    CONSTRAINT wraps_hash_key UNIQUE (hash),
    CONSTRAINT wraps_root_id_fkey FOREIGN KEY (root_id) REFERENCES roots (id),
    CONSTRAINT wraps_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT wraps_api_key_id_fkey FOREIGN KEY (api_key_id) REFERENCES api_keys (id) ON DELETE CASCADE,
    CONSTRAINT wraps_used_check CHECK ((used_at IS NULL) = (ciphertext IS NOT NULL) AND (ciphertext IS NULL) = (wrapped_dek IS NULL))
);
CREATE INDEX wraps_expires_at_idx ON wraps (expires_at);
CREATE INDEX wraps_root_id_idx ON wraps (root_id);
CREATE INDEX wraps_maker_idx ON wraps (maker);
ALTER TABLE wraps ALTER COLUMN ciphertext SET STORAGE EXTERNAL;

INSERT INTO runtime_grants (table_name, privileges) VALUES
    ('path_settings', 'SELECT, INSERT, UPDATE, DELETE'),
    ('root_quotas', 'SELECT, INSERT, UPDATE, DELETE'),
    ('wraps', 'SELECT, INSERT, UPDATE, DELETE');
-- Shredding a root removes its keys.
UPDATE runtime_grants SET privileges = 'SELECT, INSERT, UPDATE, DELETE' WHERE table_name = 'keks';
