-- Submissions: one batch of plain seasons in one statement (sums, the highest first, and nothing else to be looked at).

-- name: submit --
-- Input: parallel arrays in order of arrival. Output: a row for each submission (`ord` from 1), with the player's score
-- after it, its version, and a status:
--   0  written
--   1  there is no such plain season: it does not exist yet, or needs `submit_by_rule`
--   2  the sum would leave int64; with several submissions of one player in the batch, it might: send them one by one
--   3  written before with this idempotency key
--   4  the key was used for another submission
--   5  the key is twice in this batch, and this is not the first: send again
--   25 the player is banned
--   26 somebody is restricted: `submit_moderated` looks whether it is one of these players
--   24 written before, with more members in its answer than this statement knows: `submit_by_rule` has all of them
-- Batches without idempotency keys use the text without the lines that end in "-- keyed". Batches without traces use the
-- text without the lines that end in "-- traced". PERF: as long as nobody is restricted, batches use the text without the lines
-- that end in "-- moderated", which only looks whether that is so. The lines that end in "-- defined" are those of LEADERBOARD_SEASONS.
WITH input AS MATERIALIZED (
    SELECT i.ord, i.season_id, i.user_id, i.delta,
           i.digest::uuid AS digest, i.print::uuid AS print, -- keyed
           i.trace, -- traced
           nextval('submission') AS submission
    FROM unnest(%(seasons)s, %(users)s, %(deltas)s
                , %(digests)s, %(prints)s -- keyed
                , %(traces)s -- traced
         ) WITH ORDINALITY AS i (season_id, user_id, delta
                , digest, print -- keyed
                , trace -- traced
         , ord)
), known AS MATERIALIZED ( -- keyed
    SELECT k.digest, k.print, k.score, k.version, k.improved IS NOT NULL OR k.period IS NOT NULL -- keyed
           OR (SELECT true FROM idempotency_skipped s WHERE s.digest = k.digest) IS TRUE AS has_more -- keyed
    FROM idempotency k -- keyed
    WHERE k.digest = ANY (ARRAY(SELECT digest FROM input WHERE digest IS NOT NULL)) -- keyed
), first AS MATERIALIZED ( -- keyed
    SELECT min(ord) AS ord FROM input -- keyed
    WHERE digest IS NOT NULL AND digest NOT IN (SELECT digest FROM known) -- keyed
    GROUP BY digest -- keyed
), banned AS MATERIALIZED ( -- moderated
    SELECT i.ord FROM banned_among(%(users)s) AS b JOIN input i ON i.user_id = b.banned -- moderated
    WHERE b.seasons IS NULL OR i.season_id = ANY (b.seasons) -- moderated
), here AS MATERIALIZED (
    -- The lock makes a reset wait for this batch, or this batch for the reset; after the wait the new row is read.
    SELECT season_id, partition, period_id FROM season
    WHERE season_id = ANY (ARRAY(SELECT DISTINCT season_id FROM input)) AND NOT ruled
      AND revision > 0 -- defined
      AND NOT (SELECT EXISTS (SELECT FROM restriction)) -- unmoderated
    ORDER BY season_id FOR KEY SHARE
), placed AS MATERIALIZED (
    SELECT i.ord, i.user_id, i.delta, i.submission, h.period_id,
           i.digest, i.print, -- keyed
           sum(i.delta) OVER w AS upto, count(*) OVER w AS nth
    FROM input i JOIN here h ON h.season_id = i.season_id
    WHERE true
      AND i.ord NOT IN (SELECT ord FROM banned) -- moderated
      AND (i.digest IS NULL OR i.ord IN (SELECT ord FROM first)) -- keyed
    WINDOW w AS (PARTITION BY h.period_id, i.user_id ORDER BY i.ord)
), folded AS MATERIALIZED (
    SELECT period_id, user_id, sum(delta) AS total, count(*) AS n, max(submission) AS reached
    FROM placed GROUP BY period_id, user_id
    -- Several of one player: every intermediate sum must stay far from the limits, from any start (see below).
    HAVING count(*) = 1
        OR (max(upto) <= 2305843009213693952 AND min(upto) >= -2305843009213693952)
), written AS (
    INSERT INTO score AS s (period_id, user_id, score, reached, submissions)
    SELECT period_id, user_id, total::bigint, reached, n FROM folded ORDER BY period_id, user_id
    ON CONFLICT (period_id, user_id) DO UPDATE
    SET score = s.score + excluded.score,
        -- A concurrent batch may have written a higher number for this player: the version still has to grow.
        reached = greatest(s.reached + excluded.submissions, excluded.reached),
        submissions = s.submissions + excluded.submissions
    WHERE CASE
        WHEN excluded.submissions > 1
            THEN s.score BETWEEN -4611686018427387904 AND 4611686018427387903
        WHEN excluded.score > 0 THEN s.score <= 9223372036854775807 - excluded.score
        ELSE s.score >= -9223372036854775808 - excluded.score
    END
    RETURNING s.period_id, s.user_id, s.score, s.reached
), done AS MATERIALIZED (
    SELECT p.ord, p.user_id, p.delta, p.submission, p.period_id,
           p.digest, p.print, -- keyed
           w.score - (f.total - p.upto)::bigint AS score,
           w.reached - (f.n - p.nth) AS version
    FROM placed p
    JOIN folded f ON f.period_id = p.period_id AND f.user_id = p.user_id
    JOIN written w ON w.period_id = p.period_id AND w.user_id = p.user_id
), ledgered AS (
    INSERT INTO ledger (submission, period_id, user_id, delta)
    SELECT submission, period_id, user_id, delta FROM done
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id)
    SELECT h.partition, w.period_id, w.user_id FROM written w JOIN here h ON h.period_id = w.period_id
), traced AS ( -- traced
    -- A batch request is one trace: one row, not one for each of its submissions. -- traced
    INSERT INTO trace (partition, period_id, user_id, parent) -- traced
    SELECT DISTINCT ON (i.trace) h.partition, d.period_id, d.user_id, i.trace -- traced
    FROM done d JOIN input i ON i.ord = d.ord JOIN here h ON h.period_id = d.period_id -- traced
    WHERE i.trace IS NOT NULL ORDER BY i.trace, d.ord DESC -- traced
), keyed AS ( -- keyed
    -- A concurrent batch with the same key makes this a unique violation: the batch is rolled back and sent again, and
    -- then the key is known. The order keeps two batches with two such keys from a deadlock.
    INSERT INTO idempotency (digest, print, score, version) -- keyed
    SELECT digest, print, score, version FROM done WHERE digest IS NOT NULL ORDER BY digest -- keyed
)
SELECT i.ord,
       CASE
           WHEN d.ord IS NOT NULL THEN 0
           WHEN p.ord IS NOT NULL THEN 2
           WHEN k.digest IS NOT NULL THEN -- keyed
               CASE WHEN k.print <> i.print THEN 4 WHEN k.has_more THEN 24 ELSE 3 END -- keyed
           WHEN b.ord IS NOT NULL THEN 25 -- moderated
           WHEN (SELECT EXISTS (SELECT FROM restriction)) THEN 26 -- unmoderated
           WHEN h.season_id IS NOT NULL THEN 5 -- keyed
           ELSE 1
       END AS status,
       d.score, d.version
       , k.score AS first_score, k.version AS first_version -- keyed
FROM input i
LEFT JOIN placed p ON p.ord = i.ord
LEFT JOIN done d ON d.ord = i.ord
LEFT JOIN banned b ON b.ord = i.ord -- moderated
LEFT JOIN known k ON k.digest = i.digest -- keyed
LEFT JOIN here h ON h.season_id = i.season_id -- keyed
ORDER BY i.ord
