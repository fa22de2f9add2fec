-- Periods: turn what is due, close what has ended, list and discard; and events.

-- name: try_keeper --
SELECT pg_try_advisory_lock(hashtextextended('leaderboard keeper ' || current_schema(), 0))

-- name: due_seasons --
-- Seasons whose period's end has come, in the order of the ends, but for those set aside.
SELECT season_id FROM season WHERE ends_at <= now() AND NOT closed AND season_id <> ALL (%(aside)s::text[])
ORDER BY ends_at, season_id LIMIT %(limit)s

-- name: turning_season --
-- After `lock_season`, as a statement of its own: its snapshot has what the last holder of the lock has written. The clock
-- is read under the lock.
SELECT p.started_at, s.ends_at, s.closed,
       coalesce(s.ends_at <= clock_timestamp() AND NOT s.closed, false) AS is_due,
       d.definition, clock_timestamp() AS now
FROM season s JOIN period p ON p.period_id = s.period_id
LEFT JOIN season_definition d ON d.season_id = s.season_id
WHERE s.season_id = %(season)s

-- name: history --
SELECT history FROM history WHERE identity = (
    SELECT system_identifier::text || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) FROM pg_control_system())

-- name: begin_history --
INSERT INTO history (identity)
SELECT system_identifier::text || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) FROM pg_control_system()
ON CONFLICT (identity) DO NOTHING

-- name: turn_season --
-- After `turning_season`. Arrays of steps: the n-th step ends the n-th period from the current one on, and begins the one
-- after it; null: it does not. Each end is an event. The last new period becomes the season's, with a hint.
WITH here AS MATERIALIZED (
    SELECT s.season_id, s.partition, s.period_id, p.number,
           (SELECT max(e.closes_at) FROM period e WHERE e.season_id = s.season_id AND e.number = p.number - 1) AS closed_before
    FROM season s JOIN period p ON p.period_id = s.period_id WHERE s.season_id = %(season)s
), steps AS MATERIALIZED (
    -- Periods of a season close in the order of their numbers.
    SELECT nth, ends_at, begins_at, data, ends_at + make_interval(secs => %(grace_s)s) AS late_until,
           greatest(ends_at + make_interval(secs => %(grace_s)s), closed_before) AS closes_at,
           lead(ends_at) OVER w AS next_ends_at,
           greatest(lead(ends_at) OVER w + make_interval(secs => %(grace_s)s), closed_before) AS next_closes_at
    FROM here CROSS JOIN unnest(%(ends)s::timestamptz[], %(begins)s::timestamptz[], %(data)s::text[])
        WITH ORDINALITY AS u (ends_at, begins_at, data, nth)
    WINDOW w AS (ORDER BY nth)
), ended AS (
    UPDATE period p SET ends_at = steps.ends_at, closes_at = steps.closes_at, late_until = steps.late_until
    FROM here, steps WHERE p.period_id = here.period_id AND steps.nth = 1 AND steps.ends_at IS NOT NULL
), begun AS (
    INSERT INTO period (period_id, season_id, number, started_at, ends_at, closes_at, late_until, columns)
    OVERRIDING SYSTEM VALUE
    SELECT nextval(pg_get_serial_sequence('period', 'period_id')) + (%(fold)s::bigint << 56),
           season_id, number, begins_at, ends_at, closes_at, ends_at + make_interval(secs => %(grace_s)s), %(columns)s
    FROM (
        SELECT here.season_id, (here.number + steps.nth)::integer AS number, steps.begins_at,
               steps.next_ends_at AS ends_at, CASE WHEN steps.next_ends_at IS NOT NULL THEN steps.next_closes_at END AS closes_at
        FROM here CROSS JOIN steps WHERE steps.begins_at IS NOT NULL ORDER BY steps.nth
        OFFSET 0
    ) AS q
    RETURNING period_id, number
), last AS MATERIALIZED (
    SELECT period_id, number FROM begun ORDER BY number DESC LIMIT 1
), turned AS (
    UPDATE season s SET period_id = coalesce(last.period_id, s.period_id),
        fold = CASE WHEN last.period_id IS NULL THEN s.fold ELSE %(fold)s END,
        columns = CASE WHEN last.period_id IS NULL THEN s.columns ELSE %(columns)s END,
        numbered = coalesce(last.period_id, s.period_id),
        period_number = CASE WHEN %(scheduled)s THEN coalesce(last.number, here.number) END,
        ends_at = %(ends_at)s, closed = %(closed)s, ruled = %(ruled)s
    FROM here LEFT JOIN last ON true WHERE s.season_id = here.season_id
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT here.partition, last.period_id, NULL FROM here CROSS JOIN last
), told AS (
    INSERT INTO event (history, kind, season_id, period, data)
    SELECT %(history)s, 'period.ended', season_id, number, data FROM (
        SELECT here.season_id, (here.number + steps.nth - 1)::integer AS number, steps.data
        FROM here CROSS JOIN steps WHERE steps.ends_at IS NOT NULL ORDER BY steps.nth
        OFFSET 0
    ) AS q
)
SELECT here.partition, last.period_id FROM here LEFT JOIN last ON true

-- name: closing_periods --
-- Ended periods that have no standings yet, or whose time to be final has come. Those of a season come in their order.
SELECT p.period_id, p.season_id, p.number, p.players, p.late, p.standings_late, p.closes_at <= now() AS is_due FROM period p
WHERE p.ends_at IS NOT NULL AND p.final_at IS NULL AND p.ended_at IS NULL AND p.expired_at IS NULL
  AND (p.players IS NULL OR p.closes_at <= now())
ORDER BY p.closes_at, p.period_id LIMIT %(limit)s

-- name: period_has_rows --
SELECT EXISTS (SELECT FROM score WHERE period_id = %(period)s) AS has_rows

-- name: ranked_rows --
-- The rows of an ended period in the order of the board. Each run has the same order, as long as `period.late` is the same.
SELECT user_id, CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END AS score,
       reached & 9223372036854775807 AS reached, columns_of(period_id, columns) AS columns,
       rank() OVER (ORDER BY score.score DESC, columns_of(period_id, columns) DESC) AS shared
FROM score WHERE period_id = %(period)s
ORDER BY score.score DESC, columns_of(period_id, columns) DESC, score.reached, user_id

-- name: standings_written --
SELECT coalesce(max(position), 0) FROM standing WHERE period_id = %(period)s

-- name: begin_standings --
-- The standings of an older state of the rows have been deleted.
UPDATE period SET standings_late = %(late)s WHERE period_id = %(period)s

-- name: write_standings --
COPY standing (period_id, position, user_id, score, reached, columns, shared) FROM STDIN

-- name: note_standings --
-- All rows of the period have a standing, unless late submissions have come meanwhile.
UPDATE period SET players = %(players)s WHERE period_id = %(period)s AND late = %(late)s

-- name: best_standings --
-- Without those that are not shown.
SELECT q.rank - (SELECT count(*) FROM unnest(q.hidden) AS u (position) WHERE u.position < q.rank) AS rank, q.user_id, q.score, q.run, q.columns
FROM (
    SELECT CASE WHEN s.ranking = 1 THEN t.shared ELSE t.position END AS rank, t.user_id, t.score, t.columns AS run, p.columns, h.hidden,
           t.position
    FROM (SELECT hidden_positions(%(period)s) AS hidden OFFSET 0) AS h
    CROSS JOIN standing t JOIN period p ON p.period_id = t.period_id JOIN season s ON s.season_id = p.season_id
    WHERE t.period_id = %(period)s AND t.position <> ALL (h.hidden) ORDER BY t.position LIMIT 10
) AS q ORDER BY q.position

-- name: count_hidden --
SELECT cardinality(hidden_positions(%(period)s))

-- name: finish_period --
-- The one commit that makes a period final, with the event. Late submissions make it come later: their statement locks the
-- period, and raises `late`.
WITH done AS (
    UPDATE period SET final_at = clock_timestamp(), players = %(players)s
    WHERE period_id = %(period)s AND late = %(late)s
      AND final_at IS NULL AND ended_at IS NULL AND expired_at IS NULL
    RETURNING season_id, number
), told AS (
    INSERT INTO event (history, kind, season_id, period, data)
    SELECT %(history)s, 'period.closed', season_id, number, %(data)s FROM done
)
SELECT d.season_id, d.number, t.definition FROM done d LEFT JOIN season_definition t ON t.season_id = d.season_id

-- name: expire_periods --
-- The final periods of a season up to this number are no longer kept.
UPDATE period SET expired_at = clock_timestamp()
WHERE season_id = %(season)s AND number <= %(upto)s AND final_at IS NOT NULL AND expired_at IS NULL AND ended_at IS NULL

-- name: keep_last_periods --
-- In the transaction of `lock_season`: as `expire_periods`, of a season that keeps fewer of its final periods from now on.
UPDATE period SET expired_at = clock_timestamp()
WHERE season_id = %(season)s AND final_at IS NOT NULL AND expired_at IS NULL AND ended_at IS NULL
  AND number <= (SELECT max(e.number) FROM period e
                 WHERE e.season_id = %(season)s AND e.final_at IS NOT NULL AND e.ended_at IS NULL) - %(keep)s

-- name: uncleared_periods --
-- Final periods whose rows nothing needs any more: no read that began before the standings were there goes on for a minute.
-- After a season's last end, its board is still that of the last period.
SELECT p.period_id FROM period p
WHERE p.final_at < now() - interval '1 minute' AND NOT p.cleared AND p.ended_at IS NULL
  AND NOT EXISTS (SELECT FROM season s WHERE s.period_id = p.period_id)
ORDER BY p.period_id LIMIT %(limit)s

-- name: note_cleared --
UPDATE period SET cleared = true WHERE period_id = %(period)s

-- name: expired_periods --
-- Those that no read shows any more.
SELECT period_id FROM period WHERE expired_at < now() - interval '1 minute' AND ended_at IS NULL ORDER BY period_id LIMIT %(limit)s

-- name: forget_standings --
-- At most `limit` standings of an expired period. The row count is the result.
DELETE FROM standing WHERE ctid = ANY (ARRAY(
    SELECT t.ctid FROM standing t WHERE t.period_id = %(period)s LIMIT %(limit)s))

-- name: discard_period --
-- The janitor deletes what is left of it.
UPDATE period SET ended_at = clock_timestamp() WHERE period_id = %(period)s AND expired_at IS NOT NULL

-- name: forget_events --
-- At most `limit` events older than 90 days.
DELETE FROM event WHERE ctid = ANY (ARRAY(
    SELECT e.ctid FROM event e WHERE e.at < now() - interval '90 days' ORDER BY e.at LIMIT %(limit)s))

-- name: listed_periods --
-- The periods of a season from the number `below` down, without those that are deleted. `players` once they are final.
SELECT p.number, least(CASE WHEN p.period_id = s.period_id THEN greatest(p.started_at, s.opens_at) ELSE p.started_at END,
                       p.ends_at) AS starts_at,
       coalesce(p.ends_at, CASE WHEN p.period_id = s.period_id THEN s.ends_at END) AS ends_at,
       CASE
           WHEN p.final_at IS NOT NULL THEN 'final'
           WHEN p.closes_at <= now() THEN 'closed'
           WHEN p.ends_at IS NOT NULL OR s.ends_at <= now() THEN 'closing'
           WHEN s.opens_at > now() THEN 'upcoming'
           ELSE 'open'
       END AS state, CASE WHEN p.final_at IS NOT NULL THEN p.players END
           - CASE WHEN p.final_at IS NOT NULL AND EXISTS (SELECT FROM restriction) THEN cardinality(hidden_positions(p.period_id)) ELSE 0 END
           AS players
FROM season s JOIN period p ON p.season_id = s.season_id
WHERE s.season_id = %(season)s AND p.number < %(below)s AND p.ended_at IS NULL AND p.expired_at IS NULL
ORDER BY p.number DESC LIMIT %(limit)s
