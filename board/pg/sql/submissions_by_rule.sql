-- Submissions by rule: one batch in one statement, of seasons of any kind.

-- name: submit_by_rule --
-- As `submit`, and slower. `scored` is 1 for a submission with a `score`, 0 for one with a `delta`. `origins` are numbers
-- of `note_origins`, or 0. Further statuses:
--   6  the season's operator takes the other one of delta and score
--   7  outside the season's bounds
--   8  before the season opens
--   9  a better run with a later number has been written meanwhile: send again
--   10 the period's end has come: turn the season, then send again
--   11 the season's last period has ended
--   12 the season has other columns than the submission: `named` are the season's
-- For `best` and `last` there are also the score before the submission (null: there was none), and whether the player's
-- row is better after it. In a season with a schedule there is the number of the period that it counts in. Numbers in
-- `score` are turned (0008_pre_seasons.sql): the higher the better. Operators are those of board/season.py: 0 sum, 1 best,
-- 2 last.
--
-- A run is what is compared: a number, or in the text of batches with columns an array, the number first. Of a submission
-- with columns, `named` names them as the season does, and c1 to c3 are their values, turned; missing ones are the least
-- int64. Rows of seasons with columns are told in 0012_pre_columns.sql.
WITH input AS MATERIALIZED (
    SELECT i.ord, i.season_id, i.user_id, i.number, i.scored <> 0 AS scored, nullif(i.origin, 0)::integer AS origin,
           i.digest::uuid AS digest, i.print::uuid AS print, -- keyed
           i.trace, -- traced
           i.metadata, -- extra
           i.named, i.c1, i.c2, i.c3, -- columned
           nextval('submission') AS submission
    FROM unnest(%(seasons)s, %(users)s, %(numbers)s, %(scored)s, %(origins)s
                , %(digests)s, %(prints)s -- keyed
                , %(traces)s -- traced
                , %(metadata)s -- extra
                , %(named)s, %(c1)s, %(c2)s, %(c3)s -- columned
         ) WITH ORDINALITY AS i (season_id, user_id, number, scored, origin
                , digest, print -- keyed
                , trace -- traced
                , metadata -- extra
                , named, c1, c2, c3 -- columned
         , ord)
), known AS MATERIALIZED ( -- keyed
    SELECT k.digest, k.print, k.score, k.version, k.previous, k.improved, k.period FROM idempotency k -- keyed
    WHERE k.digest = ANY (ARRAY(SELECT digest FROM input WHERE digest IS NOT NULL)) -- keyed
), first AS MATERIALIZED ( -- keyed
    SELECT min(ord) AS ord FROM input -- keyed
    WHERE digest IS NOT NULL AND digest NOT IN (SELECT digest FROM known) -- keyed
    GROUP BY digest -- keyed
), here AS MATERIALIZED (
    -- The lock makes a reset, or a change of the rule, wait for this batch, or this batch for it; after the wait the new
    -- row is read.
    SELECT season_id, partition, period_id, low, high, opens_at, ends_at, closed, columns, period_number AS period
    FROM season
    WHERE season_id = ANY (ARRAY(SELECT DISTINCT season_id FROM input))
      AND revision > 0 -- defined
    ORDER BY season_id FOR KEY SHARE
), timed AS MATERIALIZED (
    -- A step of its own: the clock is read after the lock.
    SELECT season_id, period_id, low, high, coalesce(opens_at > clock_timestamp(), false) AS early,
           coalesce(ends_at <= clock_timestamp(), false) AS due, closed, columns, period,
           period_id >> 57 & 3 AS operator, period_id >> 56 & 1 = 1 AS ascending
    FROM here
), judged AS MATERIALIZED (
    SELECT i.ord, i.user_id, i.number, i.submission, t.period_id, t.period, t.operator, t.ascending, t.columns,
           i.digest, i.print, -- keyed
           CASE WHEN t.ascending THEN ~i.number ELSE i.number END AS run, -- single
           ARRAY[CASE WHEN t.ascending THEN ~i.number ELSE i.number END, i.c1, i.c2, i.c3] AS run, -- columned
           CASE
               WHEN i.scored = (t.operator = 0) THEN 6
               WHEN t.closed THEN 11
               WHEN t.early THEN 8
               WHEN t.due THEN 10
               WHEN t.columns IS NOT NULL THEN 12 -- single
               WHEN t.columns IS DISTINCT FROM i.named THEN 12 -- columned
               WHEN i.number < t.low OR i.number > t.high THEN 7
               ELSE 0
           END AS refusal
    FROM input i JOIN timed t ON t.season_id = i.season_id
), placed AS MATERIALIZED (
    -- `best` is the player's best run of this batch up to here, `best_reached` the number that reached it.
    SELECT q.*, min(q.submission) OVER (PARTITION BY q.period_id, q.user_id, q.best) AS best_reached
    FROM (
        SELECT j.*, sum(j.number) OVER w AS upto, count(*) OVER w AS nth,
               count(*) OVER (PARTITION BY j.period_id, j.user_id) AS n,
               max(j.run) OVER w AS best,
               max(j.run) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS best_before,
               lag(j.run) OVER w AS run_before, lag(j.submission) OVER w AS submission_before
        FROM judged j
        WHERE j.refusal = 0
          AND (j.digest IS NULL OR j.ord IN (SELECT ord FROM first)) -- keyed
        WINDOW w AS (PARTITION BY j.period_id, j.user_id ORDER BY j.ord)
    ) AS q
), folded AS MATERIALIZED (
    SELECT period_id, user_id, operator, ascending, count(*) AS n, sum(number) AS total, min(submission) AS earliest,
           CASE WHEN operator = 1 THEN max(run) ELSE max(run) FILTER (WHERE nth = n) END AS run,
           CASE WHEN operator = 1 THEN max(best_reached) ELSE max(submission) END AS reached
    FROM placed GROUP BY period_id, user_id, operator, ascending
    -- Several deltas of one player: every intermediate sum must stay far from the limits, from any start (see below).
    HAVING operator <> 0 OR count(*) = 1
        OR (max(upto) <= 2305843009213693952 AND min(upto) >= -2305843009213693952)
), packed AS MATERIALIZED ( -- columned
    SELECT f.*, CASE WHEN f.period_id >> 59 & 3 > 0 THEN '-9223372036854775808'::bigint ELSE 0 END AS lift, -- columned
           pack_columns(f.period_id, f.run[2], f.run[3], f.run[4]) AS columns -- columned
    FROM folded f -- columned
), written AS ( -- single
), stored AS ( -- columned
    INSERT INTO score AS s (period_id, user_id, score, reached, submissions, previous_reached
                            , columns -- columned
                           )
    SELECT period_id, user_id,
           CASE
               WHEN operator > 0 THEN run -- single
               WHEN operator > 0 THEN run[1] -- columned
               WHEN ascending THEN (-1 - total)::bigint
               ELSE total::bigint
           END,
           reached, -- single
           reached | lift, -- columned
           CASE WHEN period_id < 4611686018427387904 THEN n ELSE 0 END,
           CASE WHEN operator > 0 THEN earliest WHEN period_id >= 4611686018427387904 THEN n END -- single
           CASE WHEN operator > 0 THEN earliest | lift WHEN period_id >= 4611686018427387904 THEN n END, -- columned
           columns -- columned
    FROM folded -- single
    FROM packed -- columned
    ORDER BY period_id, user_id
    ON CONFLICT (period_id, user_id) DO UPDATE
    SET score = CASE excluded.period_id >> 57 & 3
            WHEN 1 THEN greatest(s.score, excluded.score)
            WHEN 2 THEN CASE WHEN excluded.reached > s.reached THEN excluded.score ELSE s.score END
            -- Ascending: ~a + ~b + 1 = ~(a + b). The 1 goes where it cannot leave int64.
            ELSE CASE
                WHEN excluded.period_id >> 56 & 1 = 0 THEN s.score + excluded.score
                WHEN excluded.score < 0 THEN s.score + (excluded.score + 1)
                ELSE (s.score + 1) + excluded.score
            END
        END,
        reached = CASE excluded.period_id >> 57 & 3
            WHEN 1 THEN CASE
                WHEN excluded.score > s.score THEN excluded.reached
                WHEN excluded.score = s.score -- columned
                 AND excluded.columns > columns_of(s.period_id, s.columns) THEN excluded.reached -- columned
                ELSE s.reached
            END
            WHEN 2 THEN greatest(s.reached, excluded.reached)
            -- A concurrent batch may have written a higher number for this player: the version still has to grow.
            ELSE greatest(s.reached + greatest(excluded.submissions, excluded.previous_reached), excluded.reached)
        END,
        submissions = s.submissions + excluded.submissions,
        previous = CASE WHEN excluded.period_id >> 57 & 3 > 0 THEN s.score END,
        previous_reached = CASE WHEN excluded.period_id >> 57 & 3 > 0 THEN s.reached END -- single
        -- Of a sum with columns, the number of the run that they are of: `reached` may be higher. -- columned
        previous_reached = CASE -- columned
            WHEN excluded.period_id >> 57 & 3 > 0 THEN s.reached -- columned
            WHEN excluded.columns IS NOT NULL THEN greatest( -- columned
                excluded.reached, CASE WHEN s.previous_reached < 0 THEN s.previous_reached ELSE s.reached END) -- columned
        END, -- columned
        columns = CASE -- columned
            WHEN CASE excluded.period_id >> 57 & 3 -- columned
                WHEN 1 THEN excluded.score > s.score OR (excluded.score = s.score -- columned
                    AND excluded.columns > columns_of(s.period_id, s.columns)) -- columned
                WHEN 2 THEN excluded.reached > s.reached -- columned
                ELSE excluded.reached -- columned
                    > CASE WHEN s.previous_reached < 0 THEN s.previous_reached ELSE s.reached END -- columned
            END THEN excluded.columns -- columned
            ELSE columns_of(s.period_id, s.columns) -- columned
        END || columns_of(s.period_id, s.columns) -- columned
    WHERE CASE
        -- An improvement with an earlier number than the row's would let the version fall: it is sent again, with a later
        -- number. So players' runs are compared in the order of their numbers, and the first one of equal runs counts.
        WHEN excluded.period_id >> 57 & 3 = 1
            THEN excluded.score < s.score OR excluded.previous_reached > s.reached
                 OR (excluded.score = s.score AND excluded.columns < columns_of(s.period_id, s.columns)) -- columned
        WHEN excluded.period_id >> 57 & 3 = 2 THEN true
        WHEN greatest(excluded.submissions, excluded.previous_reached) > 1
            THEN s.score BETWEEN -4611686018427387904 AND 4611686018427387903
        WHEN excluded.period_id >> 56 & 1 = 1 THEN CASE
            WHEN excluded.score >= 0 THEN s.score < 9223372036854775807 - excluded.score
            ELSE s.score >= -9223372036854775808 - (excluded.score + 1)
        END
        WHEN excluded.score > 0 THEN s.score <= 9223372036854775807 - excluded.score
        ELSE s.score >= -9223372036854775808 - excluded.score
    END
    RETURNING s.period_id, s.user_id, s.score,
              s.reached, s.previous, -- single
              CASE WHEN s.previous IS NOT NULL THEN s.previous_reached ELSE 0 END AS previous_reached -- single
              s.reached & 9223372036854775807 AS reached, s.previous AS previous_score, -- columned
              substr(s.columns, 1 + 8 * (s.period_id >> 59 & 3)::integer) AS previous_columns, -- columned
              CASE WHEN s.previous IS NOT NULL THEN s.previous_reached & 9223372036854775807 ELSE 0 END -- columned
                  AS previous_reached -- columned
), written AS MATERIALIZED ( -- columned
    SELECT r.*, CASE WHEN r.previous_score IS NOT NULL THEN ARRAY[ -- columned
        r.previous_score, column_at(r.previous_columns, 0), column_at(r.previous_columns, 1), -- columned
        column_at(r.previous_columns, 2) -- columned
    ] END AS previous -- columned
    FROM stored r -- columned
), changed AS MATERIALIZED (
    -- A run that is not better leaves the row as it was, and no hint.
    SELECT w.period_id, w.user_id, h.partition FROM written w JOIN here h ON h.period_id = w.period_id
    WHERE w.previous IS NULL OR w.reached <> w.previous_reached
), done AS MATERIALIZED (
    SELECT p.ord, p.user_id, p.number, p.submission, p.period_id, p.period, p.operator, p.ascending,
           p.digest, p.print, -- keyed
           CASE
               WHEN p.operator = 1 THEN greatest(w.previous, p.best)
               WHEN p.operator = 2 AND p.submission > w.previous_reached THEN p.run
               WHEN p.operator = 2 THEN w.previous
           END AS run,
           CASE
               WHEN p.operator > 0 THEN NULL
               WHEN p.ascending THEN w.score + (f.total - p.upto)::bigint
               ELSE w.score - (f.total - p.upto)::bigint
           END AS total,
           CASE
               WHEN p.operator = 1 AND w.previous >= p.best THEN w.previous_reached
               WHEN p.operator = 1 THEN p.best_reached
               WHEN p.operator = 2 THEN greatest(p.submission, w.previous_reached)
               ELSE w.reached - (f.n - p.nth)
           END AS version,
           CASE
               WHEN p.operator = 1 THEN greatest(w.previous, p.best_before)
               WHEN p.operator = 2 AND p.submission_before > w.previous_reached THEN p.run_before
               WHEN p.operator = 2 THEN w.previous
           END AS before
    FROM placed p
    JOIN folded f ON f.period_id = p.period_id AND f.user_id = p.user_id
    JOIN written w ON w.period_id = p.period_id AND w.user_id = p.user_id
), shown AS MATERIALIZED (
    SELECT d.ord, d.user_id, d.number, d.submission, d.period_id, d.period,
           d.digest, d.print, -- keyed
           CASE WHEN d.ascending THEN -1 ELSE 0 END # coalesce(d.total, d.run) AS score, -- single
           CASE WHEN d.ascending THEN -1 ELSE 0 END # coalesce(d.total, d.run[1]) AS score, -- columned
           d.version,
           CASE WHEN d.ascending THEN ~d.before ELSE d.before END AS previous, -- single
           CASE WHEN d.ascending THEN ~d.before[1] ELSE d.before[1] END AS previous, -- columned
           CASE WHEN d.operator > 0 THEN coalesce(d.run > d.before, true) END AS improved
    FROM done d
), ledgered AS (
    INSERT INTO ledger (submission, period_id, user_id, delta, origin
                        , run -- extra
                       )
    SELECT d.submission, d.period_id, d.user_id, d.number, i.origin
           , -- extra
           CASE WHEN d.period_id >> 59 & 3 > 0 -- columned
               THEN set_byte('\x00', 0, (d.period_id >> 59 & 3)::integer) || pack_columns(d.period_id, i.c1, i.c2, i.c3) -- columned
                   || coalesce(convert_to(i.metadata, 'UTF8'), '') -- columned
               ELSE -- columned
           '\x00'::bytea || convert_to(i.metadata, 'UTF8') -- extra
           END -- columned
    FROM shown d JOIN input i ON i.ord = d.ord
), kept AS ( -- extra
    -- The metadata of the run that counts now. Those of an older run stay, and are shown to nobody: their number is not -- extra
    -- that of the row any more. -- extra
    INSERT INTO run_metadata AS m (period_id, user_id, reached, metadata) -- extra
    SELECT w.period_id, w.user_id, w.reached, i.metadata -- extra
    FROM written w JOIN placed p ON p.period_id = w.period_id AND p.user_id = w.user_id -- extra
     AND CASE WHEN p.operator = 0 THEN p.nth = p.n ELSE p.submission = w.reached END -- extra
    JOIN input i ON i.ord = p.ord -- extra
    WHERE i.metadata IS NOT NULL ORDER BY w.period_id, w.user_id -- extra
    ON CONFLICT (period_id, user_id) DO UPDATE SET reached = excluded.reached, metadata = excluded.metadata -- extra
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, user_id FROM changed
), traced AS ( -- traced
    -- A batch request is one trace: one row, not one for each of its submissions. -- traced
    INSERT INTO trace (partition, period_id, user_id, parent) -- traced
    SELECT DISTINCT ON (i.trace) c.partition, d.period_id, d.user_id, i.trace -- traced
    FROM shown d JOIN input i ON i.ord = d.ord -- traced
    JOIN changed c ON c.period_id = d.period_id AND c.user_id = d.user_id -- traced
    WHERE i.trace IS NOT NULL ORDER BY i.trace, d.ord DESC -- traced
), keyed AS ( -- keyed
    -- A concurrent batch with the same key makes this a unique violation; see `submit`. -- keyed
    INSERT INTO idempotency (digest, print, score, version, previous, improved, period) -- keyed
    SELECT digest, print, score, version, previous, improved, period -- keyed
    FROM shown WHERE digest IS NOT NULL ORDER BY digest -- keyed
)
SELECT i.ord,
       CASE
           WHEN d.ord IS NOT NULL THEN 0
           WHEN k.digest IS NOT NULL THEN CASE WHEN k.print = i.print THEN 3 ELSE 4 END -- keyed
           WHEN j.refusal > 0 THEN j.refusal
           WHEN p.operator = 0 THEN 2
           WHEN p.ord IS NOT NULL THEN 9
           WHEN j.ord IS NOT NULL THEN 5
           ELSE 1
       END AS status,
       d.score, d.version, d.previous, d.improved, d.period, j.columns AS named
       , k.score AS first_score, k.version AS first_version -- keyed
       , k.previous AS first_previous, k.improved AS first_improved, k.period AS first_period -- keyed
FROM input i
LEFT JOIN judged j ON j.ord = i.ord
LEFT JOIN placed p ON p.ord = i.ord
LEFT JOIN shown d ON d.ord = i.ord
LEFT JOIN known k ON k.digest = i.digest -- keyed
ORDER BY i.ord

-- name: note_origins --
-- The numbers of pairs of a key and a client's version. Unknown ones are added; with a version only while `most` numbers
-- have not been given out. Pairs that another session adds at the same time are left out, like those beyond `most`.
WITH wanted AS MATERIALIZED (
    SELECT DISTINCT w.key_id, w.version FROM unnest(%(keys)s::text[], %(versions)s::text[]) AS w (key_id, version)
), found AS MATERIALIZED (
    SELECT o.id, w.key_id, w.version FROM wanted w JOIN origin o ON o.key_id = w.key_id AND o.client_version = w.version
), made AS (
    INSERT INTO origin (key_id, client_version)
    SELECT w.key_id, w.version FROM wanted w
    WHERE NOT EXISTS (SELECT FROM found f WHERE f.key_id = w.key_id AND f.version = w.version)
      AND (w.version = '' OR (SELECT coalesce(max(id), 0) FROM origin) < %(most)s)
    ORDER BY w.key_id, w.version
    ON CONFLICT (key_id, client_version) DO NOTHING
    RETURNING id, key_id, client_version
)
SELECT key_id, version, id FROM found UNION ALL SELECT key_id, client_version, id FROM made
