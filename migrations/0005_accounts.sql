-- Accounts: groups that change their names, addresses that a person chose, passkeys, policies that recovery has disabled.

-- Policies know a group by its name, so whoever is in it stands for something else once it has another (R7).
CREATE FUNCTION end_sessions_of_group() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE sessions SET revoked_at = now()
    WHERE revoked_at IS NULL AND user_id IN (SELECT user_id FROM group_members WHERE group_id = NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER groups_end_sessions AFTER UPDATE OF name ON groups
    FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name)
    EXECUTE FUNCTION end_sessions_of_group();

ALTER TABLE users ADD COLUMN email_self_set boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN users.email_self_set IS 'The person chose the address, and nobody has vouched that it is theirs: it may not link a stranger''s identity.';

-- A passkey whose counter did not go up may have been copied; it is not taken any more (WebAuthn, section 6.1.1).
ALTER TABLE passkeys
    ADD COLUMN counter bigint NOT NULL DEFAULT 0,
    ADD COLUMN suspect_at timestamptz,
    ADD CONSTRAINT passkeys_counter_check CHECK (counter BETWEEN 0 AND 4294967295);
CREATE INDEX passkey_ceremonies_expires_at_idx ON passkey_ceremonies (expires_at);

ALTER TABLE policies ADD COLUMN disabled_at timestamptz;
COMMENT ON COLUMN policies.disabled_at IS 'Set by aether-vault recover: the policy is there and counts for nothing, however it is written, until it is enabled again.';
