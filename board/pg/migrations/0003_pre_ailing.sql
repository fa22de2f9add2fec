-- Seasons that could not be written in Redis. Their hints are dropped while they are here: the retry loads them whole.
CREATE TABLE ailing (
    season_id  text COLLATE "C" PRIMARY KEY,
    partition  smallint NOT NULL,
    reason     text NOT NULL,
    tries      integer NOT NULL DEFAULT 1,
    since      timestamptz NOT NULL DEFAULT now(),
    retry_at   timestamptz NOT NULL DEFAULT now()
);

-- Drop whole days of the ledger that ended more than `days` days ago (UTC). Returns how many went.
CREATE FUNCTION ledger_drop(days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    old text;
    gone integer := 0;
BEGIN
    FOR old IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'ledger'::regclass AND c.relname ~ '^ledger_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < (now() AT TIME ZONE 'UTC')::date - days
        ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE %I', old);
        gone := gone + 1;
    END LOOP;
    RETURN gone;
END $$;
