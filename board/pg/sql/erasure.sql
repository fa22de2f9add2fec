-- Erasure: a player's boards at once, then all else, a bounded part at a time.

-- name: begin_erasure --
-- A player has one open erasure at most. Asked for again, it reaches up to the submissions of now.
WITH named AS (
    INSERT INTO player_number AS n (user_id) VALUES (%(user)s)
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
    RETURNING number
)
INSERT INTO erasure AS e (player, digest, before) SELECT number, %(digest)s, nextval('submission') FROM named
ON CONFLICT (player) WHERE done_at IS NULL DO UPDATE SET before = excluded.before
RETURNING number, asked_at

-- name: outdate_closed_boards --
-- Before `erase_boards`, in its transaction: of seasons whose last period has ended. Late submissions lock it before rows, too.
UPDATE period p SET players = NULL, late = p.late + 1 FROM season s
WHERE s.closed AND s.period_id = p.period_id AND p.ends_at IS NOT NULL AND p.final_at IS NULL
  AND EXISTS (SELECT FROM score r WHERE r.period_id = p.period_id AND r.user_id = %(user)s)

-- name: erase_boards --
-- The player's rows in the current periods, each with a hint. Seasons and rows are locked in the order in which submissions
-- lock them. So no period ends, and is written down by the keeper, before the player's row is gone. Returns the partitions
-- of the hints, and this transaction.
WITH here AS MATERIALIZED (
    SELECT s.season_id, s.partition, s.period_id FROM season s
    CROSS JOIN LATERAL (
        SELECT FROM score r WHERE r.period_id = s.period_id AND r.user_id = %(user)s
        ORDER BY r.period_id, r.user_id LIMIT 1
    ) AS t
    ORDER BY s.season_id FOR KEY SHARE OF s
), held AS MATERIALIZED (
    SELECT r.period_id FROM score r
    WHERE r.period_id = ANY (ARRAY(SELECT period_id FROM here)) AND r.user_id = %(user)s
    ORDER BY r.period_id FOR UPDATE
), gone AS (
    DELETE FROM score r WHERE r.period_id = ANY (ARRAY(SELECT period_id FROM held)) AND r.user_id = %(user)s
), unled AS (
    -- So the event that tells of the next leader does not name this one.
    UPDATE leader SET user_id = NULL WHERE season_id = ANY (ARRAY(SELECT season_id FROM here)) AND user_id = %(user)s
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, %(user)s FROM here
)
SELECT ARRAY(SELECT DISTINCT partition FROM here) AS partitions, pg_current_xact_id()::text AS xid

-- name: hints_left --
-- Whether a relay has still to carry hints of this transaction.
SELECT EXISTS (
    SELECT FROM unnest(%(partitions)s::smallint[]) AS p (id)
    CROSS JOIN LATERAL (SELECT FROM outbox o WHERE o.partition = p.id AND o.xid = %(xid)s::xid8 LIMIT 1) AS o
)

-- name: erasure --
SELECT number, asked_at, done_at, erased FROM erasure WHERE number = %(number)s

-- name: open_erasures --
SELECT e.number, e.player, n.user_id, e.before FROM erasure e JOIN player_number n ON n.number = e.player
WHERE e.done_at IS NULL ORDER BY e.number LIMIT 100

-- name: periods_to_erase --
-- Of the next `most` periods those that have something of the player, and the last one that was looked at.
WITH looked AS MATERIALIZED (
    SELECT period_id FROM period WHERE period_id > %(after)s ORDER BY period_id LIMIT %(most)s
)
SELECT ARRAY(
    SELECT l.period_id FROM looked l
    WHERE EXISTS (SELECT FROM score s WHERE s.period_id = l.period_id AND s.user_id = %(user)s)
       OR EXISTS (SELECT FROM standing t WHERE t.period_id = l.period_id AND t.user_id = %(user)s)
       OR EXISTS (SELECT FROM run_metadata m WHERE m.period_id = l.period_id AND m.user_id = %(user)s)
    ORDER BY l.period_id
) AS found, (SELECT max(period_id) FROM looked) AS last

-- name: lock_period_to_erase --
-- Whether the period has ended, is final, and is a season's current one: then the season's partition.
SELECT p.ends_at IS NOT NULL OR p.ended_at IS NOT NULL AS has_ended,
       p.final_at IS NOT NULL AND p.expired_at IS NULL AND p.ended_at IS NULL AS is_final, s.partition
FROM period p LEFT JOIN season s ON s.period_id = p.period_id
WHERE p.period_id = %(period)s FOR NO KEY UPDATE OF p

-- name: erase_row --
-- The player's row; of a period that is open only if nothing was submitted since the erasure was asked for.
DELETE FROM score WHERE period_id = %(period)s AND user_id = %(user)s
  AND (%(has_ended)s OR reached & 9223372036854775807 <= %(before)s)

-- name: erase_metadata --
-- In the transaction of `erase_row`: that of a run which no row has.
DELETE FROM run_metadata m WHERE m.period_id = %(period)s AND m.user_id = %(user)s
  AND NOT EXISTS (SELECT FROM score s WHERE s.period_id = %(period)s AND s.user_id = %(user)s)

-- name: hint_erased --
INSERT INTO outbox (partition, period_id, user_id) VALUES (%(partition)s, %(period)s, %(user)s)

-- name: erase_standing --
DELETE FROM standing WHERE period_id = %(period)s AND user_id = %(user)s

-- name: outdate_standings --
-- The standings of an ended period are to be written again, as after a late submission.
UPDATE period SET players = NULL, late = late + 1
WHERE period_id = %(period)s AND ends_at IS NOT NULL AND final_at IS NULL

-- name: erase_final_standing --
-- All behind the player move up by one position, in one statement: a read sees the board before or after it.
WITH mine AS MATERIALIZED (
    SELECT position FROM standing WHERE period_id = %(period)s AND user_id = %(user)s
), gone AS (
    DELETE FROM standing t USING mine m WHERE t.period_id = %(period)s AND t.position >= m.position
    RETURNING t.period_id, t.position, t.user_id, t.score, t.reached, t.columns, t.shared, m.position AS erased
), back AS (
    -- The order makes the deletion come first.
    INSERT INTO standing (period_id, position, user_id, score, reached, columns, shared)
    SELECT period_id, position - 1, user_id, score, reached, columns, shared - CASE WHEN shared > erased THEN 1 ELSE 0 END
    FROM gone WHERE position > erased ORDER BY position
)
UPDATE period SET players = players - 1, late = late + 1, standings_late = late + 1
WHERE period_id = %(period)s AND EXISTS (SELECT FROM mine)

-- name: erase_submissions --
-- What was deleted between two places of a part of the ledger. No part: it was dropped meanwhile.
SELECT r.period_id, p.number, p.columns, r.delta, r.accepted_at > now() - make_interval(mins => %(minutes)s) AS is_recent,
       (extract(epoch FROM r.achieved_at) * 1000000)::bigint AS achieved, coalesce(o.client_version, '') AS version, r.run
FROM (SELECT to_regclass(quote_ident(%(part)s)) AS part) AS q
CROSS JOIN LATERAL ledger_erase(q.part, %(user)s, %(before)s, %(low)s::tid, %(high)s::tid) AS r
LEFT JOIN origin o ON o.id = r.origin
LEFT JOIN period p ON p.period_id = r.period_id
WHERE q.part IS NOT NULL

-- name: erase_keys --
-- The idempotency keys of these submissions. No index: it would cost each key.
WITH gone AS (DELETE FROM idempotency WHERE print = ANY (%(prints)s::uuid[]) RETURNING digest)
, skips AS (DELETE FROM idempotency_skipped WHERE digest IN (SELECT digest FROM gone))
SELECT count(*) FROM gone

-- name: hold_corrections_of --
-- Before `erase_from_corrections`, in its transaction: one that is being applied comes before or after.
SELECT FROM correction WHERE number IN (SELECT correction FROM correction_item WHERE user_id = %(user)s)
ORDER BY number FOR UPDATE

-- name: erase_from_corrections --
WITH images AS (DELETE FROM correction_row WHERE user_id = %(user)s)
DELETE FROM correction_item WHERE user_id = %(user)s

-- name: erase_traces --
DELETE FROM trace WHERE user_id = %(user)s

-- name: erase_leader --
UPDATE leader l SET user_id = NULL WHERE l.user_id = %(user)s
  AND NOT EXISTS (SELECT FROM score s WHERE s.period_id = l.period_id AND s.user_id = %(user)s)

-- name: erase_from_events --
-- The next `most` events after a place, without this player: how many named the player, and the last place.
WITH looked AS MATERIALIZED (
    SELECT history, xid, number, kind, data FROM event
    WHERE (history, xid, number) > (%(history)s::integer, %(xid)s::xid8, %(number)s::bigint)
    ORDER BY history, xid, number LIMIT %(most)s
), named AS MATERIALIZED (
    SELECT history, xid, number, kind, data::jsonb AS data FROM looked
    WHERE (kind = 'leader.changed' AND %(user)s IN (data::jsonb ->> 'userId', data::jsonb ->> 'previousUserId'))
       OR (kind = 'period.closed' AND data::jsonb -> 'top' @> jsonb_build_array(jsonb_build_object('userId', %(user)s::text)))
), changed AS (
    UPDATE event e SET data = CASE n.kind
        WHEN 'period.closed' THEN jsonb_set(n.data, '{top}', coalesce((
            SELECT jsonb_agg(t.item ORDER BY t.nth) FROM jsonb_array_elements(n.data -> 'top') WITH ORDINALITY AS t (item, nth)
            WHERE t.item ->> 'userId' <> %(user)s), '[]'))
        ELSE CASE WHEN n.data ->> 'userId' = %(user)s THEN n.data - 'userId' - 'score' ELSE n.data END
             || CASE WHEN n.data ->> 'previousUserId' = %(user)s THEN '{"previousUserId": null}'::jsonb ELSE '{}'::jsonb END
    END::text
    FROM named n WHERE e.history = n.history AND e.xid = n.xid AND e.number = n.number
    RETURNING 1
)
SELECT (SELECT count(*) FROM changed) AS changed, l.history, l.xid::text, l.number
FROM looked l ORDER BY l.history DESC, l.xid DESC, l.number DESC LIMIT 1

-- name: hold_player_number --
-- Before `end_erasure`, in its transaction: one that is asked for again waits, and is another one.
SELECT FROM player_number WHERE number = %(player)s FOR UPDATE

-- name: end_erasure --
-- No row: it was asked for again meanwhile, and reaches further.
UPDATE erasure SET done_at = clock_timestamp(), erased = %(erased)s
WHERE number = %(number)s AND before = %(before)s AND done_at IS NULL RETURNING number

-- name: forget_player --
-- The audit keeps the number alone.
WITH details AS (DELETE FROM audit_personal WHERE player = %(player)s)
DELETE FROM player_number WHERE number = %(player)s

-- name: erasure_secret --
SELECT secret FROM access

-- name: exported_erasures --
SELECT digest, asked_at FROM erasure ORDER BY number

-- name: known_players --
-- Every user id of this database, once.
SELECT user_id FROM score UNION SELECT user_id FROM standing UNION SELECT user_id FROM ledger UNION SELECT user_id FROM player
UNION SELECT user_id FROM restriction
