-- Single sign-on and the device authorization grant.

-- A flow says who may fetch its outcome: whoever has the verifier of this challenge (RFC 7636). Identities are linked afterwards, by the
-- session of the user that they are linked to.
ALTER TABLE sso_flows
    DROP COLUMN link_user_id,
    ADD COLUMN challenge text COLLATE "C" NOT NULL;
CREATE INDEX sso_flows_expires_at_idx ON sso_flows (expires_at);

-- A flow that has ended well: who it was, in the envelope, to be fetched once by a code that passed through the browser.
CREATE TABLE sso_outcomes (
    id            uuid        CONSTRAINT sso_outcomes_pkey PRIMARY KEY,
    provider      text        COLLATE "C" NOT NULL,
    code_hash     bytea       NOT NULL,
    challenge     text        COLLATE "C" NOT NULL,
    wrapped_dek   bytea       NOT NULL,
    ciphertext    bytea       NOT NULL,
    expires_at    timestamptz NOT NULL,
    CONSTRAINT sso_outcomes_code_hash_key UNIQUE (code_hash)
);
CREATE INDEX sso_outcomes_expires_at_idx ON sso_outcomes (expires_at);

-- A session that came by an identity ends with it, also one that waits for its second factor.
ALTER TABLE sessions
    ADD COLUMN identity_id uuid,
    ADD COLUMN provider_session text COLLATE "C",
    ADD CONSTRAINT sessions_identity_id_fkey FOREIGN KEY (identity_id) REFERENCES identities (id) ON DELETE SET NULL;
CREATE INDEX sessions_identity_id_idx ON sessions (identity_id) WHERE identity_id IS NOT NULL;
COMMENT ON COLUMN sessions.provider_session IS 'The session at the provider (its claim sid), which a back-channel logout names.';
ALTER TABLE login_challenges
    ADD COLUMN identity_id uuid,
    ADD COLUMN provider_session text COLLATE "C",
    ADD CONSTRAINT login_challenges_identity_id_fkey FOREIGN KEY (identity_id) REFERENCES identities (id) ON DELETE CASCADE;
ALTER TABLE login_challenges
    DROP CONSTRAINT login_challenges_method_check,
    ADD CONSTRAINT login_challenges_method_check CHECK (method IN ('password', 'sso', 'device'));
CREATE INDEX login_challenges_identity_id_idx ON login_challenges (identity_id) WHERE identity_id IS NOT NULL;
CREATE FUNCTION end_sessions_of_identity() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE sessions SET revoked_at = now() WHERE identity_id = OLD.id AND revoked_at IS NULL;
    RETURN OLD;
END
$$;
CREATE TRIGGER identities_end_sessions BEFORE DELETE ON identities
    FOR EACH ROW EXECUTE FUNCTION end_sessions_of_identity();

-- Codes of the device grant are hashed like all others. Polling too often makes the interval longer (RFC 8628, section 3.5).
ALTER TABLE device_grants
    DROP COLUMN user_code,
    ADD COLUMN user_hash bytea NOT NULL,
    ADD COLUMN poll_seconds integer NOT NULL DEFAULT 5,
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT device_grants_user_hash_key UNIQUE (user_hash),
    ADD CONSTRAINT device_grants_poll_seconds_check CHECK (poll_seconds BETWEEN 1 AND 300);
CREATE INDEX device_grants_expires_at_idx ON device_grants (expires_at);

-- Guesses at codes of devices count like those at passwords, apart from them.
ALTER TABLE login_attempts
    DROP CONSTRAINT login_attempts_factor_check,
    ADD CONSTRAINT login_attempts_factor_check CHECK (factor IN ('password', 'second_factor', 'device_code'));

INSERT INTO runtime_grants (table_name, privileges) VALUES
    ('sso_outcomes', 'SELECT, INSERT, UPDATE, DELETE');
