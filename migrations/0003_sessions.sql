-- How sessions begin and go on, and what ends with a second factor.

-- Every session has an end that no use moves.
UPDATE sessions SET ends_at = expires_at WHERE ends_at IS NULL;
ALTER TABLE sessions
    ALTER COLUMN ends_at SET NOT NULL,
    ADD CONSTRAINT sessions_ends_at_check CHECK (expires_at <= ends_at);

ALTER TABLE login_challenges
    ADD COLUMN enrols boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT login_challenges_method_check CHECK (method IN ('password', 'sso'));
COMMENT ON COLUMN login_challenges.enrols IS 'Whether the account has no second factor yet and must get one: then the challenge is good for that.';

-- What ends a user's sessions ends a login that waits for its second factor too (R7).
CREATE OR REPLACE FUNCTION end_sessions_of_user() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE sessions SET revoked_at = now() WHERE user_id = NEW.id AND revoked_at IS NULL;
    DELETE FROM login_challenges WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;

-- A factor that comes or goes, wherever, ends what began without it (R7). The user's row is held first, as every login holds it, so that
-- no login that looked before is committed after.
CREATE FUNCTION end_sessions_of_factor() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    owner uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
BEGIN
    PERFORM FROM users WHERE id = owner FOR NO KEY UPDATE;
    UPDATE sessions SET revoked_at = now() WHERE user_id = owner AND revoked_at IS NULL;
    DELETE FROM login_challenges WHERE user_id = owner;
    RETURN NULL;
END
$$;
CREATE TRIGGER totp_end_sessions AFTER UPDATE OF confirmed_at ON totp
    FOR EACH ROW WHEN (OLD.confirmed_at IS DISTINCT FROM NEW.confirmed_at) EXECUTE FUNCTION end_sessions_of_factor();
CREATE TRIGGER totp_removed_end_sessions AFTER DELETE ON totp
    FOR EACH ROW WHEN (OLD.confirmed_at IS NOT NULL) EXECUTE FUNCTION end_sessions_of_factor();
CREATE TRIGGER passkeys_end_sessions AFTER INSERT OR DELETE ON passkeys
    FOR EACH ROW EXECUTE FUNCTION end_sessions_of_factor();
CREATE TRIGGER recovery_codes_end_sessions AFTER INSERT ON recovery_codes
    FOR EACH ROW EXECUTE FUNCTION end_sessions_of_factor();
