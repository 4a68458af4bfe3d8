-- The audit log complete: entries that can be sealed and queried, signed blocks with their leaves, retention, sinks, daily sums; and jobs.

-- `xid` is the writing transaction: the sealer resumes by snapshot, as readers of the change feed do, for ids commit out of order. A bigint
-- and no xid8, which has few operators. `count` is above 1 where one entry stands for many.
ALTER TABLE audit_entries
    ADD COLUMN xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    ADD COLUMN count bigint NOT NULL DEFAULT 1,
    ADD CONSTRAINT audit_entries_count_check CHECK (count >= 1);
-- Queries walk back in time, the sealer forward by transaction. Both keys only grow, so that an insert touches the last page alone.
DROP INDEX audit_entries_at_idx;
CREATE INDEX audit_entries_at_idx ON audit_entries (at, id);
CREATE INDEX audit_entries_xid_idx ON audit_entries (xid);

-- What blocks and checkpoints are signed with; sealed in the vault's own envelope, public half included.
CREATE TABLE audit_keys (
    kid          text        COLLATE "C" CONSTRAINT audit_keys_pkey PRIMARY KEY,
    id           uuid        NOT NULL,
    wrapped_dek  bytea       NOT NULL,
    ciphertext   bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_keys_id_key UNIQUE (id)
);

-- A block seals entries of one day (UTC), so that a day can be dropped with its leaves while its blocks stay.
CREATE TABLE audit_blocks (
    height     bigint      CONSTRAINT audit_blocks_pkey PRIMARY KEY,
    day        date        NOT NULL,
    sealed_at  timestamptz NOT NULL,
    first_at   timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    entries    bigint      NOT NULL,
    total      bigint      NOT NULL,
    snapshot   text        COLLATE "C" NOT NULL,
    previous   bytea       NOT NULL,
    root       bytea       NOT NULL,
    hash       bytea       NOT NULL,
    kid        text        COLLATE "C" NOT NULL,
    signature  bytea       NOT NULL,
    CONSTRAINT audit_blocks_height_check CHECK (height >= 1),
    CONSTRAINT audit_blocks_entries_check CHECK (entries >= 1 AND total >= entries),
    CONSTRAINT audit_blocks_hashes_check CHECK (octet_length(previous) = 32 AND octet_length(root) = 32 AND octet_length(hash) = 32),
    CONSTRAINT audit_blocks_kid_fkey FOREIGN KEY (kid) REFERENCES audit_keys (kid)
);
CREATE INDEX audit_blocks_day_idx ON audit_blocks (day, height);
COMMENT ON COLUMN audit_blocks.height IS 'Unique, which fences two sealers.';
COMMENT ON COLUMN audit_blocks.snapshot IS 'What had been seen when the block was sealed: every entry visible in it is in this block or an earlier one. 1:1: is nothing.';

-- One row a block: the ids of its entries, ascending, and their leaf hashes of 32 bytes each, in that order.
CREATE TABLE audit_leaves (
    day        date    NOT NULL,
    height     bigint  NOT NULL,
    entry_ids  bigint[] NOT NULL,
    hashes     bytea   NOT NULL,
    CONSTRAINT audit_leaves_pkey PRIMARY KEY (day, height),
    CONSTRAINT audit_leaves_hashes_check CHECK (octet_length(hashes) = 32 * cardinality(entry_ids))
) PARTITION BY RANGE (day);
-- Hashes do not compress.
ALTER TABLE audit_leaves ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE audit_dropped_days (
    day         date        CONSTRAINT audit_dropped_days_pkey PRIMARY KEY,
    dropped_at  timestamptz NOT NULL DEFAULT now(),
    entries     bigint      NOT NULL
);

-- How far each sink has got: the last block that it has taken.
CREATE TABLE audit_sinks (
    name          text        COLLATE "C" CONSTRAINT audit_sinks_pkey PRIMARY KEY,
    height        bigint      NOT NULL,
    delivered_at  timestamptz NOT NULL DEFAULT now()
);

-- Who used what on which day, by which rule; filled by the sealer from the entries that it seals.
CREATE TABLE access_daily (
    day         date        NOT NULL,
    resource    text        COLLATE "C" NOT NULL,
    actor_kind  text        COLLATE "C" NOT NULL,
    actor_id    text        COLLATE "C" NOT NULL,
    actor_name  text        COLLATE "C" NOT NULL,
    policy      text        COLLATE "C" NOT NULL,
    rule        integer     NOT NULL,
    reads       bigint      NOT NULL,
    writes      bigint      NOT NULL,
    last_at     timestamptz NOT NULL,
    CONSTRAINT access_daily_pkey PRIMARY KEY (day, resource, actor_kind, actor_id, policy, rule)
);
CREATE INDEX access_daily_resource_idx ON access_daily (resource, day);
CREATE INDEX access_daily_policy_idx ON access_daily (policy, rule, day);
COMMENT ON COLUMN access_daily.policy IS 'The policy that decided, or the built-in right; empty if none is named. `rule` is -1 then.';

-- Work that one process at a time does, by a lease.
CREATE TABLE jobs (
    name         text             COLLATE "C" CONSTRAINT jobs_pkey PRIMARY KEY,
    holder       uuid             NOT NULL,
    lease_until  timestamptz      NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz,
    seconds      double precision,
    result       text             COLLATE "C",
    detail       text,
    runs         bigint           NOT NULL DEFAULT 0,
    failures     bigint           NOT NULL DEFAULT 0,
    CONSTRAINT jobs_result_check CHECK (result IN ('ok', 'failed'))
) WITH (fillfactor = 50);

-- Makes the partitions of today and the `ahead` days after it, by the database's clock. Answers how many days are ready.
CREATE OR REPLACE FUNCTION audit_make_partitions(ahead integer) RETURNS integer
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
        part := 'audit_leaves_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(part) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF audit_leaves FOR VALUES FROM (%L) TO (%L)', part, day, day + 1);
        END IF;
    END LOOP;
    RETURN ahead + 1;
END
$$;
SELECT audit_make_partitions(14);

-- Removes the entries and leaves of a day; its blocks stay. Refuses a day that is younger than a week or not wholly sealed.
CREATE FUNCTION audit_drop(which date) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    held   bigint;
    sealed bigint;
    suffix text := to_char(which, 'YYYYMMDD');
BEGIN
    IF which > (now() AT TIME ZONE 'UTC')::date - 7 THEN
        RAISE EXCEPTION 'audit_drop: % is younger than a week', which USING ERRCODE = 'AV001';
    END IF;
    IF to_regclass('audit_entries_' || suffix) IS NULL THEN
        RAISE EXCEPTION 'audit_drop: there are no entries of %', which USING ERRCODE = 'AV002';
    END IF;
    EXECUTE format('SELECT count(*) FROM %I', 'audit_entries_' || suffix) INTO held;
    SELECT COALESCE(sum(entries), 0) INTO sealed FROM audit_blocks WHERE day = which;
    IF held <> sealed THEN
        RAISE EXCEPTION 'audit_drop: % has % entries and % sealed ones', which, held, sealed USING ERRCODE = 'AV003';
    END IF;
    EXECUTE format('DROP TABLE %I', 'audit_entries_' || suffix);
    EXECUTE format('DROP TABLE IF EXISTS %I', 'audit_leaves_' || suffix);
    INSERT INTO audit_dropped_days (day, entries) VALUES (which, held);
    RETURN held;
END
$$;
REVOKE ALL ON FUNCTION audit_drop(date) FROM PUBLIC;

-- After a restore into another server: its transaction numbers are lower than those that came with the entries, which would look as if
-- they were still to come. No leaf holds the number. Answers how many entries were concerned.
CREATE FUNCTION audit_forget_foreign_xids() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    concerned bigint;
BEGIN
    UPDATE audit_entries SET xid = 0 WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
    GET DIAGNOSTICS concerned = ROW_COUNT;
    RETURN concerned;
END
$$;
REVOKE ALL ON FUNCTION audit_forget_foreign_xids() FROM PUBLIC;

INSERT INTO runtime_grants (table_name, privileges) VALUES
    ('access_daily', 'SELECT, INSERT, UPDATE, DELETE'),
    ('audit_blocks', 'SELECT, INSERT'),
    ('audit_dropped_days', 'SELECT'),
    ('audit_keys', 'SELECT, INSERT'),
    ('audit_leaves', 'SELECT, INSERT'),
    ('audit_sinks', 'SELECT, INSERT, UPDATE, DELETE'),
    ('jobs', 'SELECT, INSERT, UPDATE, DELETE');
UPDATE runtime_grants SET privileges = 'SELECT, INSERT, UPDATE, DELETE' WHERE table_name = 'system_config';

-- The functions that the serving role may call, beside the tables of `runtime_grants`.
CREATE TABLE runtime_functions (
    signature  text COLLATE "C" CONSTRAINT runtime_functions_pkey PRIMARY KEY
);
INSERT INTO runtime_functions (signature) VALUES
    ('audit_drop(date)'),
    ('audit_forget_foreign_xids()'),
    ('audit_make_partitions(integer)');

CREATE OR REPLACE FUNCTION grant_runtime(role_name text) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    given record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    FOR given IN SELECT table_name, privileges FROM runtime_grants LOOP
        EXECUTE format('GRANT %s ON %I TO %I', given.privileges, given.table_name, role_name);
    END LOOP;
    FOR given IN SELECT signature::regprocedure AS function FROM runtime_functions LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', given.function, role_name);
    END LOOP;
    BEGIN
        EXECUTE format('ALTER ROLE %I SET statement_timeout = ''30s''', role_name);
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''10s''', role_name);
    EXCEPTION WHEN insufficient_privilege THEN
        -- The owner may not alter other roles; the process sets the same timeouts on each connection.
        NULL;
    END;
END
$$;
