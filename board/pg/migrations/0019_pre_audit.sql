-- The audit: one row for each administrative act, written in the transaction of the act.
--
-- Players are named by number, and what an act did to a player's data stands apart. So erasing a player takes the name and
-- those data away, and no row of the audit.
CREATE TABLE audit (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_type   text,                      -- 'key', 'command'; null: a client of an open server
    actor        text COLLATE "C",          -- the id of the key; the account and the host of the command
    request_id   text,                      -- the client's own; null: it sent none
    action       text COLLATE "C" NOT NULL,
    target_type  text NOT NULL,             -- 'season', 'key', 'player'
    target       text COLLATE "C",          -- the id; null for a player
    player       bigint,                    -- the number of a player; else null
    reason       text,
    before       text,                      -- JSON objects; null: there was, or is, no such thing
    after        text,
    CHECK ((target IS NULL) = (player IS NOT NULL))
);
CREATE INDEX audit_by_target ON audit (target, number) WHERE target IS NOT NULL;
CREATE INDEX audit_by_player ON audit (player, number) WHERE player IS NOT NULL;

-- The names of the players that the audit has numbers of.
CREATE TABLE player_number (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id  text COLLATE "C" NOT NULL UNIQUE
);

-- `before` and `after` of acts on a player.
CREATE TABLE audit_personal (
    number  bigint PRIMARY KEY,             -- that of the row of the audit
    player  bigint NOT NULL,
    before  text,
    after   text
);
CREATE INDEX audit_personal_by_player ON audit_personal (player);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit_personal
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

-- The owner has these rights by itself. Without them PostgreSQL refuses a change before any trigger runs.
REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM CURRENT_USER;
