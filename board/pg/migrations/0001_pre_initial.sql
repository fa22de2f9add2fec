-- The whole first schema. Every name is unqualified: the schema is the first one of the search path.

CREATE TABLE cluster (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),   -- the one row
    partitions  integer NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO cluster (partitions) VALUES (64);

-- One row per relay partition: the thing a relay claims with FOR UPDATE SKIP LOCKED.
CREATE TABLE partition (
    id            smallint PRIMARY KEY,
    fence         bigint NOT NULL DEFAULT 0,    -- last fence committed here, 0: none yet
    identity      text NOT NULL DEFAULT '',     -- PostgreSQL identity that committed it
    low_xid       xid8 NOT NULL DEFAULT '0',    -- no hint below this transaction is left (only under that identity)
    committed_at  timestamptz,
    rebuilt_at    timestamptz
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
INSERT INTO partition (id) SELECT generate_series(0, 63);

-- Every attempt at a batch draws one, committed or not. No CACHE: a cached range would let an older attempt hold a higher number.
CREATE SEQUENCE fence;

-- Order of submissions; decides ties. No CACHE, for the same reason.
CREATE SEQUENCE submission;

CREATE TABLE period (
    period_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    season_id   text COLLATE "C" NOT NULL,
    number      integer NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    UNIQUE (season_id, number)
);
CREATE INDEX period_ended ON period (period_id) WHERE ended_at IS NOT NULL;

CREATE TABLE season (
    season_id  text COLLATE "C" PRIMARY KEY,
    partition  smallint NOT NULL,
    period_id  bigint NOT NULL UNIQUE           -- the current period
) WITH (fillfactor = 80);
CREATE INDEX season_partition ON season (partition);

-- What a player has now. HOT updates: nothing but the key is indexed, and pages keep room.
CREATE TABLE score (
    period_id    bigint NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    score        bigint NOT NULL,
    reached      bigint NOT NULL,               -- submission number that reached the score; rises with each change of the row
    submissions  bigint NOT NULL,               -- accepted ones
    PRIMARY KEY (period_id, user_id)
) WITH (fillfactor = 80);

-- Every accepted submission, for audits. Kept by day; days are dropped, never deleted from.
CREATE TABLE ledger (
    submission   bigint NOT NULL,
    period_id    bigint NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    delta        bigint NOT NULL,
    accepted_at  timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (accepted_at);
CREATE TABLE ledger_default PARTITION OF ledger DEFAULT;

-- Hints that a row of `score` changed; user_id is null when the season's period itself changed.
CREATE TABLE outbox (
    partition  smallint NOT NULL,
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    period_id  bigint NOT NULL,
    user_id    text COLLATE "C",
    queued_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX outbox_work ON outbox (partition, xid);

-- Make the day partitions of the ledger from yesterday to `ahead` days from now (UTC). Returns how many are new.
-- A day whose rows already sit in the default partition is moved out of it first.
CREATE FUNCTION ledger_prepare(ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    day date;
    name text;
    made integer := 0;
BEGIN
    FOR day IN SELECT generate_series(
        (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + ahead, interval '1 day')
    LOOP
        name := 'ledger_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE ledger INCLUDING DEFAULTS)', name);
        EXECUTE format(
            'WITH gone AS (DELETE FROM ledger_default WHERE accepted_at >= %1$L AND accepted_at < %2$L RETURNING *) '
            'INSERT INTO %3$I SELECT * FROM gone',
            day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00', name);
        EXECUTE format('ALTER TABLE ledger ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
SELECT ledger_prepare(7);
