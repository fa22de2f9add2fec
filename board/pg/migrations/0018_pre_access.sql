-- Tickets, passes and sessions of operators are signed, and not stored: every worker of every host signs with one secret, of
-- 244 random bits.
ALTER TABLE access ADD COLUMN secret bytea NOT NULL
    DEFAULT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));

-- Sessions that were ended before their time, until then. Workers learn of them as they learn of revoked keys.
CREATE TABLE ended_session (
    id text PRIMARY KEY,
    until timestamptz NOT NULL
);

CREATE TRIGGER access_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ended_session
    FOR EACH STATEMENT EXECUTE FUNCTION access_changed();
