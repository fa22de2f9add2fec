-- History: the submissions of a player, from the ledger.

-- name: history_periods --
-- The periods of a season that are kept, with their numbers and columns, and a day before the first one began. A season
-- without such periods has one row of nulls; no row: there is no such season.
SELECT p.period_id, p.number, p.columns, (min(p.started_at) OVER () AT TIME ZONE 'UTC')::date - 1 AS since
FROM season s
LEFT JOIN period p ON p.season_id = s.season_id AND p.ended_at IS NULL AND p.expired_at IS NULL
WHERE s.season_id = %(season)s

-- name: ledger_parts --
-- The parts of the ledger with their numbers of blocks: the one of days that were not prepared, then the latest day.
SELECT c.relname::text AS name, (pg_relation_size(c.oid) / current_setting('block_size')::integer)::bigint AS blocks
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'ledger'::regclass AND c.relname::text COLLATE "C" <= %(last)s
ORDER BY c.relname::text COLLATE "C" DESC

-- name: history_rows --
-- What a part has of a player's submissions between two places, from the end. No part: it was dropped meanwhile.
WITH rows AS MATERIALIZED (
    SELECT r.* FROM (SELECT to_regclass(quote_ident(%(part)s)) AS part) AS q
    CROSS JOIN LATERAL ledger_rows(q.part, %(periods)s::bigint[], %(user)s, %(low)s::tid, %(high)s::tid, %(most)s) AS r
    WHERE q.part IS NOT NULL
), shown AS MATERIALIZED (
    -- The runs that count: one a period.
    SELECT s.period_id, s.reached & 9223372036854775807 AS reached FROM score s
    WHERE s.period_id = ANY (ARRAY(SELECT DISTINCT period_id FROM rows)) AND s.user_id = %(user)s
    UNION
    SELECT t.period_id, t.reached FROM standing t
    WHERE t.period_id = ANY (ARRAY(SELECT DISTINCT period_id FROM rows)) AND t.user_id = %(user)s
)
SELECT r.place::text, r.submission, r.period_id, r.delta, r.accepted_at, r.achieved_at, r.run, o.key_id, o.client_version,
       EXISTS (SELECT FROM shown h WHERE h.period_id = r.period_id AND h.reached = r.submission) AS is_shown,
       c.number AS correction, c.action, c.value
FROM rows r LEFT JOIN origin o ON o.id = r.origin
LEFT JOIN LATERAL (
    -- Of corrections in force the newest one decides.
    SELECT c.number, c.action, c.value FROM correction_item i JOIN correction c ON c.number = i.correction
    WHERE i.period_id = r.period_id AND i.user_id = %(user)s AND i.submission = r.submission AND c.in_force
    ORDER BY c.number DESC LIMIT 1
) AS c ON true
ORDER BY r.place DESC
