-- People, programs and workloads: users, groups, credentials, sessions, second factors, single sign-on.
-- Secrets of this schema are hashed (tokens, codes, keys), in an envelope (what must be read again), or PHC strings (passwords).

-- Which rights the serving role has on which table: a migration that adds a table adds its row.
CREATE TABLE runtime_grants (
    table_name  text COLLATE "C" CONSTRAINT runtime_grants_pkey PRIMARY KEY,
    privileges  text COLLATE "C" NOT NULL,
    CONSTRAINT runtime_grants_privileges_check CHECK (privileges ~ '^(SELECT|INSERT|UPDATE|DELETE)(, (SELECT|INSERT|UPDATE|DELETE))*$')
);
INSERT INTO runtime_grants (table_name, privileges) VALUES
    ('_sqlx_migrations', 'SELECT'),
    ('runtime_grants', 'SELECT'),
    ('audit_entries', 'SELECT, INSERT'),
    ('changes', 'SELECT, INSERT, DELETE'),
    ('clusters', 'SELECT, INSERT, UPDATE'),
    ('keks', 'SELECT, INSERT, UPDATE'),
    ('key_sentinel', 'SELECT, INSERT'),
    ('policies', 'SELECT, INSERT, UPDATE, DELETE'),
    ('policy_epoch', 'SELECT, INSERT, UPDATE'),
    ('roots', 'SELECT, INSERT, UPDATE'),
    ('secret_versions', 'SELECT, INSERT, UPDATE, DELETE'),
    ('secrets', 'SELECT, INSERT, UPDATE, DELETE'),
    ('sessions', 'SELECT, INSERT, UPDATE, DELETE'),
    ('signing_keys', 'SELECT, INSERT, UPDATE, DELETE'),
    ('syncs', 'SELECT, INSERT, UPDATE, DELETE'),
    ('system_config', 'SELECT, INSERT, UPDATE'),
    ('users', 'SELECT, INSERT, UPDATE, DELETE');

-- Gives the serving role what it needs and nothing more: audit entries can be added and read, never changed or removed.
CREATE OR REPLACE FUNCTION grant_runtime(role_name text) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    given record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    FOR given IN SELECT table_name, privileges FROM runtime_grants LOOP
        EXECUTE format('GRANT %s ON %I TO %I', given.privileges, given.table_name, role_name);
    END LOOP;
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

-- A person who was invited, or who comes by single sign-on, has no password; a machine never has one.
ALTER TABLE users
    ALTER COLUMN password_hash DROP NOT NULL,
    ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'person',
    ADD COLUMN email text COLLATE "C",
    ADD COLUMN display_name text,
    ADD COLUMN second_factor_required boolean NOT NULL DEFAULT false,
    ADD COLUMN password_changed_at timestamptz,
    ADD COLUMN last_login_at timestamptz,
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT users_kind_check CHECK (kind IN ('person', 'machine')),
    ADD CONSTRAINT users_machine_check CHECK (kind = 'person' OR password_hash IS NULL),
    ADD CONSTRAINT users_email_key UNIQUE (email);
COMMENT ON COLUMN users.deleted_at IS 'Soft deletion: the name stays taken and nothing of the user works, until it is restored or removed for good.';

CREATE TABLE groups (
    id          uuid        CONSTRAINT groups_pkey PRIMARY KEY,
    name        text        COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT groups_name_key UNIQUE (name)
);
-- `origin` is 'local' or the single sign-on provider whose claims made the membership; each login renews those of its provider.
CREATE TABLE group_members (
    group_id    uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    origin      text        COLLATE "C" NOT NULL DEFAULT 'local',
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT group_members_pkey PRIMARY KEY (user_id, group_id, origin),
    CONSTRAINT group_members_group_id_fkey FOREIGN KEY (group_id) REFERENCES groups (id) ON DELETE CASCADE,
    CONSTRAINT group_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX group_members_group_id_idx ON group_members (group_id);

CREATE TABLE retired_names (
    kind        text        COLLATE "C" NOT NULL,
    name        text        COLLATE "C" NOT NULL,
    retired_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT retired_names_pkey PRIMARY KEY (kind, name),
    CONSTRAINT retired_names_kind_check CHECK (kind IN ('user', 'group'))
);
COMMENT ON TABLE retired_names IS 'Names of users and groups that were removed. A policy last written before then does not mean who bears the name now (R40).';

-- Raised in one statement before anything is compared (R6), apart for each factor (R5).
CREATE TABLE login_attempts (
    user_id       uuid        NOT NULL,
    factor        text        COLLATE "C" NOT NULL,
    failures      integer     NOT NULL,
    last_at       timestamptz NOT NULL DEFAULT now(),
    locked_until  timestamptz,
    CONSTRAINT login_attempts_pkey PRIMARY KEY (user_id, factor),
    CONSTRAINT login_attempts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT login_attempts_factor_check CHECK (factor IN ('password', 'second_factor')),
    CONSTRAINT login_attempts_failures_check CHECK (failures >= 0)
);

-- Links of invitations and resets: the hash of the token, good once.
CREATE TABLE one_time_tokens (
    id          uuid        CONSTRAINT one_time_tokens_pkey PRIMARY KEY,
    user_id     uuid        NOT NULL,
    purpose     text        COLLATE "C" NOT NULL,
    hash        bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    CONSTRAINT one_time_tokens_hash_key UNIQUE (hash),
    CONSTRAINT one_time_tokens_purpose_check CHECK (purpose IN ('invite', 'reset')),
    CONSTRAINT one_time_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX one_time_tokens_user_id_idx ON one_time_tokens (user_id);

-- A session belongs to a user or to a workload. `expires_at` is when it ends unless it is used; use moves it, never past `ends_at`.
ALTER TABLE sessions
    ALTER COLUMN user_id DROP NOT NULL,
    ADD COLUMN ends_at timestamptz,
    ADD COLUMN revision bigint NOT NULL DEFAULT 1,
    ADD COLUMN method text COLLATE "C" NOT NULL DEFAULT 'password',
    ADD COLUMN second_factor_at timestamptz,
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN client text COLLATE "C",
    ADD COLUMN user_agent text,
    ADD COLUMN cluster_id uuid,
    ADD COLUMN namespace text COLLATE "C",
    ADD COLUMN namespace_uid text COLLATE "C",
    ADD COLUMN service_account text COLLATE "C",
    ADD COLUMN service_account_uid text COLLATE "C",
    ADD COLUMN pod text COLLATE "C",
    ADD COLUMN pod_uid text COLLATE "C",
    ADD CONSTRAINT sessions_method_check CHECK (method IN ('password', 'passkey', 'sso', 'device', 'workload')),
    ADD CONSTRAINT sessions_cluster_id_fkey FOREIGN KEY (cluster_id) REFERENCES clusters (id),
    ADD CONSTRAINT sessions_subject_check CHECK (
        (user_id IS NOT NULL AND cluster_id IS NULL)
        OR (user_id IS NULL AND cluster_id IS NOT NULL AND namespace IS NOT NULL AND namespace_uid IS NOT NULL
            AND service_account IS NOT NULL AND service_account_uid IS NOT NULL)
    );
COMMENT ON COLUMN sessions.revision IS 'Rises when what the session stands for changes (groups, second factor); reads and writes confirm the one they were decided with.';

-- One family is one session. A token is good once; its reuse ends the family.
CREATE TABLE refresh_tokens (
    id          uuid        CONSTRAINT refresh_tokens_pkey PRIMARY KEY,
    session_id  uuid        NOT NULL,
    parent_id   uuid,
    hash        bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    used_at     timestamptz,
    CONSTRAINT refresh_tokens_hash_key UNIQUE (hash),
    CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);

-- Signing keys overlap: one signs, the ones before it verify until their last token has ended.
ALTER TABLE signing_keys ADD COLUMN retired_at timestamptz;

CREATE TABLE api_keys (
    id            uuid        CONSTRAINT api_keys_pkey PRIMARY KEY,
    user_id       uuid        NOT NULL,
    name          text        NOT NULL,
    hash          bytea       NOT NULL,
    hint          text        COLLATE "C" NOT NULL,
    scopes        jsonb       NOT NULL,
    networks      text[]      NOT NULL DEFAULT '{}',
    administers   boolean     NOT NULL DEFAULT false,
    revision      bigint      NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz,
    last_used_on  date,
    replaces      uuid,
    CONSTRAINT api_keys_hash_key UNIQUE (hash),
    CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);
COMMENT ON COLUMN api_keys.hint IS 'The first characters of the key, for people to tell their keys apart.';
COMMENT ON COLUMN api_keys.revision IS 'Rises when what the key stands for changes; reads and writes confirm the one they were decided with.';

-- A key acts with the rights of its owner as they are now. Whatever changes them, wherever, raises the revision of the owner's keys, so no
-- process goes on with the role or the groups of before.
CREATE FUNCTION raise_api_keys_of_user() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE api_keys SET revision = revision + 1 WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_raise_api_keys AFTER UPDATE OF name, role, disabled_at, deleted_at ON users
    FOR EACH ROW EXECUTE FUNCTION raise_api_keys_of_user();
CREATE FUNCTION raise_api_keys_of_member() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE api_keys SET revision = revision + 1 WHERE user_id IN (OLD.user_id, NEW.user_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER group_members_raise_api_keys AFTER INSERT OR UPDATE OR DELETE ON group_members
    FOR EACH ROW EXECUTE FUNCTION raise_api_keys_of_member();
CREATE FUNCTION raise_api_keys_of_group() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE api_keys SET revision = revision + 1 WHERE user_id IN (SELECT user_id FROM group_members WHERE group_id = NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER groups_raise_api_keys AFTER UPDATE OF name ON groups
    FOR EACH ROW EXECUTE FUNCTION raise_api_keys_of_group();

-- Sessions end with what they stood for (R7): whatever changes a user's role, standing, password or groups, wherever, ends them.
CREATE FUNCTION end_sessions_of_user() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE sessions SET revoked_at = now() WHERE user_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_end_sessions AFTER UPDATE OF name, role, disabled_at, deleted_at, password_changed_at, second_factor_required ON users
    FOR EACH ROW WHEN ((OLD.name, OLD.role, OLD.disabled_at, OLD.deleted_at, OLD.password_changed_at, OLD.second_factor_required)
        IS DISTINCT FROM (NEW.name, NEW.role, NEW.disabled_at, NEW.deleted_at, NEW.password_changed_at, NEW.second_factor_required))
    EXECUTE FUNCTION end_sessions_of_user();
CREATE FUNCTION end_sessions_of_member() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE sessions SET revoked_at = now() WHERE user_id IN (OLD.user_id, NEW.user_id) AND revoked_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER group_members_end_sessions AFTER INSERT OR UPDATE OR DELETE ON group_members
    FOR EACH ROW EXECUTE FUNCTION end_sessions_of_member();

-- A login that has passed its first factor and waits for the second.
CREATE TABLE login_challenges (
    id          uuid        CONSTRAINT login_challenges_pkey PRIMARY KEY,
    user_id     uuid        NOT NULL,
    method      text        COLLATE "C" NOT NULL,
    hash        bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    CONSTRAINT login_challenges_hash_key UNIQUE (hash),
    CONSTRAINT login_challenges_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX login_challenges_user_id_idx ON login_challenges (user_id);

CREATE TABLE totp (
    user_id       uuid        CONSTRAINT totp_pkey PRIMARY KEY,
    id            uuid        NOT NULL,
    wrapped_dek   bytea       NOT NULL,
    ciphertext    bytea       NOT NULL,
    spent_step    bigint      NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    confirmed_at  timestamptz,
    CONSTRAINT totp_id_key UNIQUE (id),
    CONSTRAINT totp_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
COMMENT ON COLUMN totp.spent_step IS 'The last time step whose code was accepted; it and all before it are spent (R4, RFC 6238 section 5.2).';

CREATE TABLE recovery_codes (
    user_id     uuid        NOT NULL,
    hash        bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    used_at     timestamptz,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, hash),
    CONSTRAINT recovery_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE passkeys (
    id             uuid        CONSTRAINT passkeys_pkey PRIMARY KEY,
    user_id        uuid        NOT NULL,
    name           text        NOT NULL,
    credential_id  bytea       NOT NULL,
    credential     jsonb       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    last_used_at   timestamptz,
    CONSTRAINT passkeys_credential_id_key UNIQUE (credential_id),
    CONSTRAINT passkeys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX passkeys_user_id_idx ON passkeys (user_id);

-- A registration or an assertion under way, as the server remembers it.
CREATE TABLE passkey_ceremonies (
    id          uuid        CONSTRAINT passkey_ceremonies_pkey PRIMARY KEY,
    user_id     uuid,
    kind        text        COLLATE "C" NOT NULL,
    state       jsonb       NOT NULL,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT passkey_ceremonies_kind_check CHECK (kind IN ('register', 'login', 'second_factor', 'step_up')),
    CONSTRAINT passkey_ceremonies_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- A user at a provider of single sign-on: the provider's name in the settings, and its subject there.
CREATE TABLE identities (
    id             uuid        CONSTRAINT identities_pkey PRIMARY KEY,
    user_id        uuid        NOT NULL,
    provider       text        COLLATE "C" NOT NULL,
    subject        text        COLLATE "C" NOT NULL,
    email          text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    last_login_at  timestamptz,
    CONSTRAINT identities_subject_key UNIQUE (provider, subject),
    CONSTRAINT identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX identities_user_id_idx ON identities (user_id);

-- An authorization code flow under way. Nonce and PKCE verifier are in the envelope; `browser_hash` is of the cookie that binds it.
CREATE TABLE sso_flows (
    id            uuid        CONSTRAINT sso_flows_pkey PRIMARY KEY,
    provider      text        COLLATE "C" NOT NULL,
    state_hash    bytea       NOT NULL,
    browser_hash  bytea       NOT NULL,
    wrapped_dek   bytea       NOT NULL,
    ciphertext    bytea       NOT NULL,
    link_user_id  uuid,
    return_to     text        NOT NULL,
    expires_at    timestamptz NOT NULL,
    CONSTRAINT sso_flows_state_hash_key UNIQUE (state_hash),
    CONSTRAINT sso_flows_link_user_id_fkey FOREIGN KEY (link_user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- The device authorization grant (RFC 8628).
CREATE TABLE device_grants (
    id              uuid        CONSTRAINT device_grants_pkey PRIMARY KEY,
    device_hash     bytea       NOT NULL,
    user_code       text        COLLATE "C" NOT NULL,
    client          text        COLLATE "C",
    user_agent      text,
    approved_by     uuid,
    approved_session uuid,
    denied_at       timestamptz,
    last_polled_at  timestamptz,
    expires_at      timestamptz NOT NULL,
    CONSTRAINT device_grants_device_hash_key UNIQUE (device_hash),
    CONSTRAINT device_grants_user_code_key UNIQUE (user_code),
    CONSTRAINT device_grants_approved_by_fkey FOREIGN KEY (approved_by) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT device_grants_approved_session_fkey FOREIGN KEY (approved_session) REFERENCES sessions (id) ON DELETE CASCADE
);

-- What a cluster signs service account tokens with, for logins without TokenReview.
ALTER TABLE clusters
    ADD COLUMN issuer text COLLATE "C",
    ADD COLUMN jwks jsonb;

-- Which namespace bore a name when: a token that its issuer signed while the controller saw this one is of this one, not of an earlier or a
-- later namespace of the same name (R40). Times are of the cluster (creation) and of the controller just before it asked (seen).
CREATE TABLE cluster_namespaces (
    cluster_id  uuid        NOT NULL,
    name        text        COLLATE "C" NOT NULL,
    uid         text        COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    CONSTRAINT cluster_namespaces_pkey PRIMARY KEY (cluster_id, name),
    CONSTRAINT cluster_namespaces_cluster_id_fkey FOREIGN KEY (cluster_id) REFERENCES clusters (id) ON DELETE CASCADE
);

INSERT INTO runtime_grants (table_name, privileges) VALUES
    ('api_keys', 'SELECT, INSERT, UPDATE, DELETE'),
    ('cluster_namespaces', 'SELECT, INSERT, UPDATE, DELETE'),
    ('device_grants', 'SELECT, INSERT, UPDATE, DELETE'),
    ('group_members', 'SELECT, INSERT, UPDATE, DELETE'),
    ('groups', 'SELECT, INSERT, UPDATE, DELETE'),
    ('identities', 'SELECT, INSERT, UPDATE, DELETE'),
    ('login_attempts', 'SELECT, INSERT, UPDATE, DELETE'),
    ('login_challenges', 'SELECT, INSERT, UPDATE, DELETE'),
    ('one_time_tokens', 'SELECT, INSERT, UPDATE, DELETE'),
    ('passkey_ceremonies', 'SELECT, INSERT, UPDATE, DELETE'),
    ('passkeys', 'SELECT, INSERT, UPDATE, DELETE'),
    ('recovery_codes', 'SELECT, INSERT, UPDATE, DELETE'),
    ('refresh_tokens', 'SELECT, INSERT, UPDATE, DELETE'),
    ('retired_names', 'SELECT, INSERT, UPDATE, DELETE'),
    ('sso_flows', 'SELECT, INSERT, UPDATE, DELETE'),
    ('totp', 'SELECT, INSERT, UPDATE, DELETE');
