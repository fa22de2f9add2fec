-- Bans, and players that are hidden: one row for each player who is restricted, or was until now.
--
-- When nothing restricts a player any more, the row goes with the transaction that writes the hints for the relays. So an
-- installation without restrictions has an empty table, and each statement looks at it once.
CREATE SEQUENCE restriction_revision;
CREATE TABLE restriction (
    user_id        text COLLATE "C" PRIMARY KEY,
    revision       bigint NOT NULL DEFAULT nextval('restriction_revision'),
    hinted         bigint NOT NULL DEFAULT 0,   -- the revision after which the hints for the relays were written
    banned_at      timestamptz,                 -- null: there is no ban
    ban_reason     text,
    ban_seasons    text[] COLLATE "C",          -- null: every season
    ban_until      timestamptz,                 -- null: for good
    ban_actor      text COLLATE "C",            -- the id of the key; null: a client of an open server
    hidden_at      timestamptz,                 -- null: the player is not hidden
    hidden_reason  text,
    hidden_actor   text COLLATE "C",
    -- The seasons whose boards do not show the player; null: none does.
    away           text[] COLLATE "C" GENERATED ALWAYS AS (
        CASE WHEN hidden_at IS NOT NULL THEN NULL WHEN banned_at IS NULL THEN '{}'::text[] ELSE ban_seasons END) STORED
);
CREATE INDEX restriction_ends ON restriction (ban_until) WHERE banned_at IS NOT NULL AND ban_until IS NOT NULL;
CREATE INDEX restriction_unhinted ON restriction (user_id) WHERE hinted <> revision;

-- How many changes of restrictions are committed: two states of the boards of ended periods are told apart by it.
CREATE TABLE restriction_changes (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),   -- the one row
    number  bigint NOT NULL DEFAULT 0
);
INSERT INTO restriction_changes DEFAULT VALUES;

-- Those of these players who are banned now, with the seasons of the ban; null: every season. STABLE: what it sees is what the
-- statement sees that calls it. PERF: the settings rule out a plan that walks over all restrictions, whatever the statistics say.
CREATE FUNCTION banned_among(users text[]) RETURNS TABLE (banned text, seasons text[]) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY SELECT x.user_id, x.ban_seasons FROM restriction x
    WHERE x.user_id = ANY (users) AND x.banned_at IS NOT NULL AND (x.ban_until IS NULL OR x.ban_until > clock_timestamp());
END $$;

-- The rows that boards show. PERF: without restrictions it is one look for the statement; with some a look for each row.
CREATE VIEW shown_score AS
SELECT * FROM score r
WHERE NOT (SELECT EXISTS (SELECT FROM restriction))
   OR (SELECT true FROM restriction x
       WHERE x.user_id = r.user_id
         AND (x.away IS NULL OR (SELECT p.season_id FROM period p WHERE p.period_id = r.period_id) = ANY (x.away))) IS NULL;

-- The positions of the standings of a period that are not shown, from the best one on.
CREATE FUNCTION hidden_positions(wanted bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(t.position ORDER BY t.position), '{}') FROM restriction x
    -- PERF: a look-up for each player who is restricted, and never a walk over the standings.
    CROSS JOIN LATERAL (SELECT s.position FROM standing s WHERE s.period_id = wanted AND s.user_id = x.user_id OFFSET 0) AS t
    WHERE x.away IS NULL OR (SELECT p.season_id FROM period p WHERE p.period_id = wanted) = ANY (x.away)
$$;

-- The data of an event of a season, without players whom its boards do not show.
CREATE FUNCTION shown_event(kind text, season text, data text) RETURNS text LANGUAGE sql STABLE AS $$
    WITH told AS (
        SELECT data::jsonb AS told
    ), away AS (
        SELECT ARRAY(
            SELECT x.user_id FROM restriction x
            WHERE (x.away IS NULL OR season = ANY (x.away)) AND x.user_id = ANY (ARRAY(
                SELECT told ->> 'userId' FROM told UNION ALL SELECT told ->> 'previousUserId' FROM told
                UNION ALL SELECT t.item ->> 'userId' FROM told, jsonb_array_elements(told -> 'top') AS t (item)))
        ) AS users
    )
    SELECT CASE
        WHEN a.users = '{}' THEN data
        WHEN kind = 'period.closed' THEN jsonb_set(t.told, '{top}', coalesce((
            SELECT jsonb_agg(r.item ORDER BY r.nth) FROM jsonb_array_elements(t.told -> 'top') WITH ORDINALITY AS r (item, nth)
            WHERE r.item ->> 'userId' <> ALL (a.users)), '[]'))::text
        ELSE (CASE WHEN t.told ->> 'userId' = ANY (a.users) THEN t.told - 'userId' - 'score' ELSE t.told END
              || CASE WHEN t.told ->> 'previousUserId' = ANY (a.users) THEN '{"previousUserId": null}'::jsonb ELSE '{}'::jsonb END)::text
    END
    FROM told t CROSS JOIN away a
$$;
