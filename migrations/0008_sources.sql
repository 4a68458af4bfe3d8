-- What feeds a record: the state of its source, and the keys that values are sealed to.

ALTER TABLE secrets ADD COLUMN source jsonb;
COMMENT ON COLUMN secrets.managed_by IS 'The resource that feeds the record; nobody else writes it.';
COMMENT ON COLUMN secrets.source IS 'When values were made, when they are due again, what was carried out. Never a value.';
CREATE INDEX secrets_managed_by_idx ON secrets (managed_by) WHERE managed_by IS NOT NULL;

CREATE TABLE sealing_keys (
    id           text        COLLATE "C" CONSTRAINT sealing_keys_pkey PRIMARY KEY,
    envelope_id  uuid        NOT NULL,
    wrapped_dek  bytea       NOT NULL,
    ciphertext   bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sealing_keys_envelope_id_key UNIQUE (envelope_id),
    CONSTRAINT sealing_keys_id_check CHECK (id ~ '^[0-9a-f]{16}$')
);
COMMENT ON TABLE sealing_keys IS 'HPKE key pairs that values are sealed to, public halves included; the newest is used, the others still open.';

INSERT INTO runtime_grants (table_name, privileges) VALUES
    ('sealing_keys', 'SELECT, INSERT');
