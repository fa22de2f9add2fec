-- Janitor: delete rows that nothing needs any more, a bounded number at a time.

-- name: try_janitor --
SELECT pg_try_advisory_lock(hashtextextended('leaderboard janitor ' || current_schema(), 0))

-- name: ended_periods --
SELECT period_id FROM period WHERE ended_at IS NOT NULL ORDER BY period_id LIMIT 100

-- name: collect_scores --
-- At most `limit` rows of an ended period. The row count is the result.
DELETE FROM score WHERE ctid = ANY (ARRAY(
    SELECT s.ctid FROM score s WHERE s.period_id = %(period)s LIMIT %(limit)s))

-- name: collect_period --
DELETE FROM period WHERE period_id = %(period)s AND ended_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM score s WHERE s.period_id = %(period)s)

-- name: forget_keys --
-- At most `limit` idempotency keys older than the retention.
DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
    SELECT k.ctid FROM idempotency k
    WHERE k.accepted_at < now() - make_interval(mins => %(minutes)s)
    ORDER BY k.accepted_at LIMIT %(limit)s))

-- name: forget_traces --
-- At most `limit` traces that no relay has taken within an hour: relays with tracing off leave them.
DELETE FROM trace WHERE ctid = ANY (ARRAY(
    SELECT t.ctid FROM trace t
    WHERE t.queued_at < now() - interval '1 hour'
    ORDER BY t.queued_at LIMIT %(limit)s))
