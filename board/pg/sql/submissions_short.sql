-- Submissions: most batches, in one shorter statement.

-- name: submit_short --
-- `submit` for a batch of one plain season, without keys and traces, in which no player is twice. Input: parallel arrays in
-- order of arrival, which decides between equal scores. PERF: it takes two thirds of the time at 64 submissions.
-- Output: a row (user_id, score, version) for each player written. Without any row there is no such plain season; one
-- row of nulls means that no player was written. A player who is not written is near the end of int64,
-- or banned; or, in the text that is not moderated, somebody is restricted: `submit` tells which.
WITH banned AS MATERIALIZED ( -- moderated
    SELECT banned AS user_id FROM banned_among(%(users)s) WHERE seasons IS NULL OR %(season)s = ANY (seasons) -- moderated
), input AS MATERIALIZED ( -- moderated
WITH input AS MATERIALIZED ( -- unmoderated
    SELECT user_id, delta, nextval('submission') AS submission FROM unnest(%(users)s, %(deltas)s) AS i (user_id, delta)
    WHERE NOT (SELECT EXISTS (SELECT FROM restriction)) -- unmoderated
    WHERE user_id NOT IN (SELECT user_id FROM banned) -- moderated
), here AS MATERIALIZED (
    SELECT partition, period_id FROM season
    WHERE season_id = %(season)s AND NOT ruled
      AND revision > 0 -- defined
    FOR KEY SHARE
), written AS (
    INSERT INTO score AS s (period_id, user_id, score, reached, submissions)
    SELECT h.period_id, i.user_id, i.delta, i.submission, 1 FROM input i CROSS JOIN here h ORDER BY i.user_id
    ON CONFLICT (period_id, user_id) DO UPDATE
    SET score = s.score + excluded.score,
        reached = greatest(s.reached + 1, excluded.reached),
        submissions = s.submissions + 1
    WHERE CASE
        WHEN excluded.score > 0 THEN s.score <= 9223372036854775807 - excluded.score
        ELSE s.score >= -9223372036854775808 - excluded.score
    END
    RETURNING s.period_id, s.user_id, s.score, s.reached
), ledgered AS (
    INSERT INTO ledger (submission, period_id, user_id, delta)
    SELECT i.submission, w.period_id, w.user_id, i.delta FROM written w JOIN input i ON i.user_id = w.user_id
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id)
    SELECT h.partition, w.period_id, w.user_id FROM written w CROSS JOIN here h
)
SELECT w.user_id, w.score, w.reached FROM here h LEFT JOIN written w ON true
