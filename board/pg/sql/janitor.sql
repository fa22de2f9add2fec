-- Janitor: delete rows that nothing needs any more, a bounded number at a time.

-- name: try_janitor --
SELECT pg_try_advisory_lock(hashtextextended('leaderboard janitor ' || current_schema(), 0))

-- name: ended_periods --
SELECT period_id FROM period WHERE ended_at IS NOT NULL ORDER BY period_id LIMIT 100

-- name: collect_scores --
-- At most `limit` rows of an ended period. The row count is the result.
DELETE FROM score WHERE ctid = ANY (ARRAY(
    SELECT s.ctid FROM score s WHERE s.period_id = %(period)s LIMIT %(limit)s))

-- name: metadata_to_collect --
-- At most 100 periods that have ended, or that the janitor of an older release has deleted, and have metadata of runs.
-- PERF: it looks once for each period that has any, not for each player.
WITH RECURSIVE one AS (
    SELECT min(period_id) AS period_id FROM run_metadata
    UNION ALL
    SELECT (SELECT min(m.period_id) FROM run_metadata m WHERE m.period_id > one.period_id)
    FROM one WHERE one.period_id IS NOT NULL
)
SELECT one.period_id FROM one WHERE one.period_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM period p WHERE p.period_id = one.period_id AND p.ended_at IS NULL)
LIMIT 100

-- name: collect_metadata --
-- At most `limit` metadata of a period.
DELETE FROM run_metadata WHERE ctid = ANY (ARRAY(
    SELECT m.ctid FROM run_metadata m WHERE m.period_id = %(period)s LIMIT %(limit)s))

-- name: collect_period --
DELETE FROM period WHERE period_id = %(period)s AND ended_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM score s WHERE s.period_id = %(period)s)

-- name: forget_keys --
-- At most `limit` idempotency keys older than the retention.
WITH old AS MATERIALIZED (
    SELECT k.ctid AS place, k.digest FROM idempotency k
    WHERE k.accepted_at < now() - make_interval(mins => %(minutes)s)
    ORDER BY k.accepted_at LIMIT %(limit)s
), skips AS (
    DELETE FROM idempotency_skipped WHERE digest = ANY (ARRAY(SELECT digest FROM old))
)
DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT place FROM old))

-- name: forget_traces --
-- At most `limit` traces that no relay has taken within an hour: relays with tracing off leave them.
DELETE FROM trace WHERE ctid = ANY (ARRAY(
    SELECT t.ctid FROM trace t
    WHERE t.queued_at < now() - interval '1 hour'
    ORDER BY t.queued_at LIMIT %(limit)s))
