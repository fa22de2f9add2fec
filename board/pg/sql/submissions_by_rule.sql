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
--   25 the player is banned
--   26 somebody is restricted: `submit_by_rule_moderated` looks whether it is one of these players
--   20 it feeds other seasons: only `submit_by_rule_full` writes it
-- `submit_by_rule_full` has the lines that end in "-- fed" and "-- dated", too. `achieved` are microseconds since 1970,
-- `wanted` numbers of periods; 0: not named. Further statuses, and columns:
--   21 achieved later than now
--   22 the season has had no such period yet
--   23 the period is not kept any more
--   `skipped` are the fed seasons that refused the submission, `due` one whose period's end has come (status 10)
-- For `best` and `last` there are also the score before the submission (null: there was none), and whether the player's
-- row is better after it. In a season with a schedule there is the number of the period that it counts in. Numbers in
-- `score` are turned (0008_pre_seasons.sql): the higher the better. Operators are those of board/season.py: 0 sum, 1 best,
-- 2 last.
--
-- A run is what is compared: a number, or in the texts of batches with columns an array, the number first. Of a submission
-- with columns, `named` names them as the season does, and c1 to c3 are their values, turned; missing ones are the least
-- int64. A fed season has them in its own order. Rows of seasons with columns are told in 0012_pre_columns.sql.
WITH
RECURSIVE -- fed
input AS MATERIALIZED (
    SELECT i.ord, i.season_id, i.user_id, i.number, i.scored <> 0 AS scored, nullif(i.origin, 0)::integer AS origin,
           i.digest::uuid AS digest, i.print::uuid AS print, -- keyed
           i.trace, -- traced
           i.metadata, -- extra
           i.named, i.c1, i.c2, i.c3, -- columned
           CASE WHEN i.achieved > 0 THEN timestamptz 'epoch' + i.achieved * interval '1 microsecond' END AS achieved_at, -- dated
           i.achieved, nullif(i.wanted, 0) AS wanted, -- dated
           nextval('submission') AS submission
    FROM unnest(%(seasons)s, %(users)s, %(numbers)s, %(scored)s, %(origins)s
                , %(digests)s, %(prints)s -- keyed
                , %(traces)s -- traced
                , %(metadata)s -- extra
                , %(named)s, %(c1)s, %(c2)s, %(c3)s -- columned
                , %(achieved)s, %(wanted)s -- dated
         ) WITH ORDINALITY AS i (season_id, user_id, number, scored, origin
                , digest, print -- keyed
                , trace -- traced
                , metadata -- extra
                , named, c1, c2, c3 -- columned
                , achieved, wanted -- dated
         , ord)
), known AS MATERIALIZED ( -- keyed
    SELECT k.digest, k.print, k.score, k.version, k.previous, k.improved, k.period, -- keyed
           (SELECT s.skipped FROM idempotency_skipped s WHERE s.digest = k.digest) AS skipped -- keyed
    FROM idempotency k -- keyed
    WHERE k.digest = ANY (ARRAY(SELECT digest FROM input WHERE digest IS NOT NULL)) -- keyed
), first AS MATERIALIZED ( -- keyed
    SELECT min(ord) AS ord FROM input -- keyed
    WHERE digest IS NOT NULL AND digest NOT IN (SELECT digest FROM known) -- keyed
    GROUP BY digest -- keyed
), seen (source, season_id, feeds, period_id) AS ( -- fed
    -- What the batch's seasons feed, each season once for each of them, as it was when the statement began. -- fed
    SELECT season_id, season_id, feeds, period_id FROM season -- fed
    WHERE season_id = ANY (ARRAY(SELECT DISTINCT season_id FROM input)) -- fed
    UNION -- fed
    SELECT e.source, s.season_id, s.feeds, s.period_id -- fed
    FROM seen e CROSS JOIN LATERAL unnest(e.feeds) AS f (season_id) -- fed
    -- PERF: a look-up for each, and never a scan of all seasons. -- fed
    CROSS JOIN LATERAL ( -- fed
        SELECT n.season_id, n.feeds, n.period_id FROM season n WHERE n.season_id = f.season_id OFFSET 0) AS s -- fed
), here AS MATERIALIZED (
    -- The lock makes a reset, or a change of the rule, wait for this batch, or this batch for it; after the wait the new
    -- row is read.
    SELECT season_id, partition, period_id, low, high, opens_at, ends_at, closed, columns, period_number AS period, feeds
    FROM season
    WHERE season_id = ANY (ARRAY(
        SELECT DISTINCT season_id FROM input
        UNION SELECT season_id FROM seen -- fed
    ))
      AND revision > 0 -- defined
      AND NOT (SELECT EXISTS (SELECT FROM restriction)) -- unmoderated
    ORDER BY season_id FOR KEY SHARE
), reach AS MATERIALIZED ( -- fed
    -- `moved`: a season on the way has got other feeds before it was locked. -- fed
    SELECT e.source, e.season_id, e.season_id <> e.source AS is_fed, h.season_id IS NULL AS is_missing, -- fed
           h.period_id <> e.period_id AS turned, -- fed
           bool_or(h.season_id IS NOT NULL AND h.feeds IS DISTINCT FROM e.feeds) OVER (PARTITION BY e.source) AS moved -- fed
    FROM seen e LEFT JOIN here h ON h.season_id = e.season_id -- fed
), timed AS MATERIALIZED (
    -- A step of its own: the clock is read after the lock.
    SELECT coalesce(
               r.source, -- fed
               h.season_id) AS source,
           h.season_id, h.period_id, h.low, h.high, coalesce(h.opens_at > clock_timestamp(), false) AS early,
           coalesce(h.ends_at <= clock_timestamp(), false) AS due, h.closed, h.period, h.feeds IS NOT NULL AS feeds,
           h.columns,
           h.opens_at, r.is_fed, r.moved, r.turned, -- fed
           h.period_id >> 57 & 3 AS operator, h.period_id >> 56 & 1 = 1 AS ascending
    FROM here h
    JOIN reach r ON r.season_id = h.season_id -- fed
), aimed AS MATERIALIZED ( -- dated
    -- The period that a submission with a time or a period belongs to, by its number: the one it names, or that in which -- dated
    -- it was achieved. The first period goes back for ever. A fed season has periods of its own. -- dated
    SELECT a.ord, a.season_id, a.number, a.current, e.period_id, a.number < a.current OR a.closed AS is_past, -- dated
           e.ended_at IS NOT NULL OR e.expired_at IS NOT NULL OR e.period_id IS NULL AS is_gone, a.is_told, -- dated
           a.achieved_at >= e.ends_at AS is_after -- dated
    FROM ( -- dated
        SELECT i.ord, t.season_id, c.number AS current, t.closed, i.achieved_at, i.wanted IS NOT NULL AND NOT t.is_fed AS is_told, -- dated
               CASE WHEN i.wanted IS NOT NULL AND NOT t.is_fed THEN i.wanted ELSE 1 + coalesce(( -- dated
                   SELECT max(p.number) FROM period p -- dated
                   WHERE p.season_id = t.season_id AND coalesce(p.ends_at, p.ended_at) <= i.achieved_at), 0) -- dated
               END AS number -- dated
        FROM input i JOIN timed t ON t.source = i.season_id -- dated
        -- A period that has begun while the statement waited for the season's lock is not seen: `turned`. -- dated
        LEFT JOIN LATERAL (SELECT p.number FROM period p WHERE p.period_id = t.period_id OFFSET 0) AS c ON true -- dated
        WHERE i.achieved_at IS NOT NULL OR (i.wanted IS NOT NULL AND NOT t.is_fed) -- dated
    ) AS a LEFT JOIN LATERAL ( -- dated
        SELECT p.period_id, p.ends_at, p.ended_at, p.expired_at FROM period p -- dated
        WHERE p.season_id = a.season_id AND p.number = a.number OFFSET 0) AS e ON true -- dated
), late AS MATERIALIZED ( -- dated
    -- Ended periods that take late submissions. The lock comes after those of the seasons and before those of the rows; it -- dated
    -- makes the keeper, which marks a period final, wait for this batch, or this batch for the keeper. -- dated
    SELECT period_id, number, columns, period_id >> 57 & 3 AS operator, period_id >> 56 & 1 = 1 AS ascending -- dated
    FROM period -- dated
    WHERE period_id = ANY (ARRAY(SELECT DISTINCT period_id FROM aimed WHERE is_past AND NOT is_gone)) -- dated
      AND late_until > clock_timestamp() AND final_at IS NULL AND ended_at IS NULL AND expired_at IS NULL -- dated
    ORDER BY period_id FOR NO KEY UPDATE -- dated
), banned AS MATERIALIZED ( -- moderated
    SELECT banned AS user_id, seasons FROM banned_among(%(users)s) -- moderated
), judged AS MATERIALIZED (
    SELECT j.ord, j.user_id, j.number, j.submission, j.period_id, j.period, j.operator, j.ascending, j.columns,
           j.digest, j.print, -- keyed
           j.season_id, j.is_fed, -- fed
           -- When the run was achieved, in microseconds since 1970.
           least(
               nullif(j.achieved, 0), -- dated
               (extract(epoch FROM now()) * 1000000)::bigint) AS at,
           CASE WHEN j.ascending THEN ~j.number ELSE j.number END
               || -- columned
               CASE WHEN j.columns IS NOT DISTINCT FROM j.named THEN -- fed
               j.further -- columned
               WHEN j.columns IS NULL THEN array_fill('-9223372036854775808'::bigint, ARRAY[3]) -- fed
               ELSE fit_columns(j.named, j.columns, j.further) END -- fed
               AS run,
           CASE
               WHEN j.is_banned THEN 25 -- moderated
               WHEN j.feeds
                   AND false -- fed
                   THEN 20
               WHEN j.moved OR (j.turned AND j.is_aimed) THEN 9 -- fed
               WHEN NOT j.closed AND j.due AND j.is_aimed THEN 10 -- dated
               WHEN j.scored = (j.operator = 0)
                   AND NOT j.is_fed -- fed
                   THEN 6
               WHEN j.achieved_at > clock_timestamp() + interval '1 minute' THEN 21 -- dated
               WHEN j.is_told AND j.aim > j.current THEN 22 -- dated
               WHEN j.is_told AND j.is_gone THEN 23 -- dated
               WHEN j.achieved_at < j.opens_at THEN 8 -- dated
               WHEN j.is_aimed AND ((j.is_past AND NOT j.is_late) OR j.is_after) THEN 11 -- dated
               WHEN j.closed
                   AND NOT j.is_late -- dated
                   THEN 11
               WHEN j.early THEN 8
               WHEN j.due
                   AND NOT j.is_late -- dated
                   THEN 10
               WHEN j.columns IS NOT NULL THEN 12 -- single
               WHEN j.columns IS DISTINCT FROM j.named -- columned
                   -- A fed season without columns takes the number alone. -- fed
                   AND NOT (j.is_fed AND j.columns IS NULL) AND fit_columns(j.named, j.columns, j.further) IS NULL -- fed
                   THEN 12 -- columned
               WHEN j.number < j.low OR j.number > j.high THEN 7
               ELSE 0
           END AS refusal
    FROM (
        SELECT i.ord, i.user_id, i.number, i.submission, i.scored,
               b.user_id IS NOT NULL AND (b.seasons IS NULL OR t.season_id = ANY (b.seasons)) AS is_banned, -- moderated
               i.digest, i.print, -- keyed
               i.achieved, i.achieved_at, t.opens_at, a.ord IS NOT NULL AS is_aimed, a.is_told, a.number AS aim, -- dated
               a.current, a.is_past, a.is_gone, a.is_after, l.period_id IS NOT NULL AS is_late, -- dated
               t.season_id, t.is_fed, t.moved, t.turned, -- fed
               i.named, ARRAY[i.c1, i.c2, i.c3] AS further, -- columned
               t.feeds, t.low, t.high, t.early, t.due, t.closed,
               CASE WHEN l.period_id IS NOT NULL THEN l.columns ELSE -- dated
               t.columns
               END -- dated
               AS columns,
               coalesce(
                   l.period_id, -- dated
                   t.period_id) AS period_id,
               coalesce(
                   l.number, -- dated
                   t.period) AS period,
               coalesce(
                   l.operator, -- dated
                   t.operator) AS operator,
               coalesce(
                   l.ascending, -- dated
                   t.ascending) AS ascending
        FROM input i JOIN timed t ON t.source = i.season_id
        LEFT JOIN banned b ON b.user_id = i.user_id -- moderated
        LEFT JOIN aimed a ON a.ord = i.ord AND a.season_id = t.season_id -- dated
        LEFT JOIN late l ON l.period_id = a.period_id AND a.is_past -- dated
    ) AS j
), blocked AS MATERIALIZED ( -- fed
    -- Submissions of which nothing counts now: refused, or to be sent again when the seasons that they reach have been -- fed
    -- turned. -- fed
    SELECT ord, max(refusal) FILTER (WHERE refusal IN (9, 10)) AS status, -- fed
           min(season_id) FILTER (WHERE refusal = 10) AS due -- fed
    FROM judged WHERE refusal > 0 AND (NOT is_fed OR refusal IN (9, 10)) GROUP BY ord -- fed
-- many:
), placed AS MATERIALIZED (
    -- `best` is the player's best run of this batch up to here, `best_reached` the number that reached it.
    SELECT q.*, min(q.submission) OVER (PARTITION BY q.period_id, q.user_id, q.best) AS best_reached
    FROM (
        SELECT j.*, sum(j.number) OVER w AS upto, count(*) OVER w AS nth,
               count(*) OVER (PARTITION BY j.period_id, j.user_id) AS n,
               max(j.run) OVER w AS best,
               max(j.run) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS best_before,
               lag(j.run) OVER w AS run_before
        FROM judged j
        WHERE j.refusal = 0
          AND (j.digest IS NULL OR j.ord IN (SELECT ord FROM first)) -- keyed
          AND j.ord NOT IN (SELECT ord FROM blocked) -- fed
        WINDOW w AS (PARTITION BY j.period_id, j.user_id ORDER BY j.ord)
    ) AS q
), folded AS MATERIALIZED (
    SELECT period_id, user_id, operator, ascending, count(*) AS n, sum(number) AS total, min(submission) AS earliest,
           CASE WHEN operator = 1 THEN max(run) ELSE max(run) FILTER (WHERE nth = n) END AS run, min(at) AS at,
           CASE WHEN operator = 1 THEN max(best_reached) ELSE max(submission) END AS reached
    FROM placed GROUP BY period_id, user_id, operator, ascending
    -- Several deltas of one player: every intermediate sum must stay far from the limits, from any start (see below).
    HAVING (operator <> 0 OR count(*) = 1
        OR (max(upto) <= 2305843009213693952 AND min(upto) >= -2305843009213693952))
        -- Several runs of one player in another order than that in which they were achieved: one by one, too. -- dated
        AND (operator <> 2 OR min(at) = max(at)) -- dated
-- :many
), folded AS ( -- once
    SELECT period_id, user_id, operator, ascending, 1 AS n, number AS total, submission AS earliest, run, at, -- once
           submission AS reached -- once
    FROM judged WHERE refusal = 0 -- once
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
           -- Of `last` there is the time of the run, for want of a column more (0013_pre_feeds.sql).
           CASE WHEN operator = 2 THEN -at WHEN period_id < 4611686018427387904 THEN n ELSE 0 END,
           CASE WHEN operator > 0 THEN earliest WHEN period_id >= 4611686018427387904 THEN n END -- single
           CASE WHEN operator > 0 THEN earliest | lift WHEN period_id >= 4611686018427387904 THEN n END, -- columned
           columns -- columned
    FROM folded -- single
    FROM packed -- columned
    ORDER BY period_id, user_id
    ON CONFLICT (period_id, user_id) DO UPDATE
    SET score = CASE excluded.period_id >> 57 & 3
            WHEN 1 THEN greatest(s.score, excluded.score)
            WHEN 2 THEN CASE WHEN (s.submissions, excluded.reached) > (excluded.submissions, s.reached)
                             THEN excluded.score ELSE s.score END
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
            WHEN 2 THEN CASE WHEN (s.submissions, excluded.reached) > (excluded.submissions, s.reached)
                             THEN excluded.reached ELSE s.reached END
            -- A concurrent batch may have written a higher number for this player: the version still has to grow.
            ELSE greatest(s.reached + greatest(excluded.submissions, excluded.previous_reached), excluded.reached)
        END,
        submissions = CASE WHEN excluded.period_id >> 57 & 3 = 2 THEN least(s.submissions, excluded.submissions)
                           ELSE s.submissions + excluded.submissions END,
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
                WHEN 2 THEN (s.submissions, excluded.reached) > (excluded.submissions, s.reached) -- columned
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
        -- Likewise of the latest run, which is the one that was achieved last.
        WHEN excluded.period_id >> 57 & 3 = 2
            THEN (s.submissions, excluded.reached) <= (excluded.submissions, s.reached)
              OR excluded.previous_reached > s.reached
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
           p.season_id, p.is_fed, -- fed
           p.run AS given, -- columned
-- many:
           CASE
               WHEN p.operator = 1 THEN greatest(w.previous, p.best)
               WHEN p.operator = 2 AND w.reached > w.previous_reached THEN p.run
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
               WHEN p.operator = 2 AND w.reached > w.previous_reached THEN p.submission
               WHEN p.operator = 2 THEN w.previous_reached
               ELSE w.reached - (f.n - p.nth)
           END AS version,
           CASE
               WHEN p.operator = 1 THEN greatest(w.previous, p.best_before)
               WHEN p.operator = 2 AND w.reached > w.previous_reached THEN coalesce(p.run_before, w.previous)
               WHEN p.operator = 2 THEN w.previous
           END AS before
    FROM placed p
    JOIN folded f ON f.period_id = p.period_id AND f.user_id = p.user_id
    JOIN written w ON w.period_id = p.period_id AND w.user_id = p.user_id
-- :many
           CASE WHEN p.operator = 1 THEN greatest(w.previous, p.run) -- once
                WHEN p.operator = 2 THEN CASE WHEN w.reached > w.previous_reached THEN p.run ELSE w.previous END -- once
           END AS run, -- once
           CASE WHEN p.operator = 0 THEN w.score END AS total, -- once
           CASE WHEN p.operator = 1 AND w.previous >= p.run THEN w.previous_reached -- once
                WHEN p.operator = 2 AND w.reached <= w.previous_reached THEN w.previous_reached -- once
                WHEN p.operator > 0 THEN p.submission -- once
                ELSE w.reached -- once
           END AS version, -- once
           CASE WHEN p.operator > 0 THEN w.previous END AS before -- once
    FROM judged p JOIN written w ON w.period_id = p.period_id AND w.user_id = p.user_id -- once
    WHERE p.refusal = 0 -- once
), shown AS MATERIALIZED (
    SELECT d.ord, d.user_id, d.number, d.submission, d.period_id, d.period,
           d.digest, d.print, -- keyed
           d.season_id, d.is_fed, -- fed
           d.given, -- columned
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
                        , achieved_at -- dated
                       )
    SELECT d.submission, d.period_id, d.user_id, d.number, i.origin
           , -- extra
           CASE WHEN d.period_id >> 59 & 3 > 0 -- columned
               THEN set_byte('\x00', 0, (d.period_id >> 59 & 3)::integer) -- columned
                   || pack_columns(d.period_id, d.given[2], d.given[3], d.given[4]) -- columned
                   || coalesce(convert_to(i.metadata, 'UTF8'), '') -- columned
               ELSE -- columned
           '\x00'::bytea || convert_to(i.metadata, 'UTF8') -- extra
           END -- columned
           , i.achieved_at -- dated
    FROM shown d JOIN input i ON i.ord = d.ord
), kept AS ( -- extra
    -- The metadata of the run that counts now. Those of an older run stay, and are shown to nobody: their number is not -- extra
    -- that of the row any more. -- extra
    INSERT INTO run_metadata AS m (period_id, user_id, reached, metadata) -- extra
    SELECT w.period_id, w.user_id, w.reached, i.metadata -- extra
-- many:
    FROM written w JOIN placed p ON p.period_id = w.period_id AND p.user_id = w.user_id -- extra
     AND CASE WHEN p.operator = 0 THEN p.nth = p.n ELSE p.submission = w.reached END -- extra
-- :many
    FROM written w JOIN judged p ON p.period_id = w.period_id AND p.user_id = w.user_id AND p.refusal = 0 -- once_extra
     AND (p.operator = 0 OR p.submission = w.reached) -- once_extra
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
    WHERE i.trace IS NOT NULL -- traced
      AND NOT d.is_fed -- fed
    ORDER BY i.trace, d.ord DESC -- traced
), keyed AS ( -- keyed
    -- A concurrent batch with the same key makes this a unique violation; see `submit`. -- keyed
    INSERT INTO idempotency (digest, print, score, version, previous, improved, period) -- keyed
    SELECT digest, print, score, version, previous, improved, period -- keyed
    FROM shown WHERE digest IS NOT NULL -- keyed
      AND NOT is_fed -- fed
    ORDER BY digest -- keyed
), skipped AS MATERIALIZED ( -- fed
    SELECT d.ord, d.digest, -- fed
           json_agg(json_build_object('seasonId', q.season_id, 'code', q.code) ORDER BY q.season_id)::text AS skipped -- fed
    FROM shown d JOIN ( -- fed
        SELECT j.ord, j.season_id, CASE j.refusal WHEN 7 THEN 'score-out-of-bounds' WHEN 8 THEN 'season-not-open' -- fed
                                                  WHEN 11 THEN 'period-closed' WHEN 12 THEN 'invalid-columns' -- fed
                                                  WHEN 25 THEN 'player-banned' -- fed
                                                  ELSE 'score-out-of-range' END AS code -- fed
        FROM judged j LEFT JOIN shown f ON f.ord = j.ord AND f.season_id = j.season_id -- fed
        WHERE j.is_fed AND f.ord IS NULL -- fed
        UNION ALL -- fed
        SELECT i.ord, r.season_id, 'season-not-found' FROM input i JOIN reach r ON r.source = i.season_id -- fed
        WHERE r.is_missing -- fed
    ) AS q ON q.ord = d.ord -- fed
    WHERE NOT d.is_fed GROUP BY d.ord, d.digest -- fed
), skips_kept AS ( -- fed
    INSERT INTO idempotency_skipped AS k (digest, skipped) -- fed
    SELECT digest, skipped FROM skipped WHERE digest IS NOT NULL ORDER BY digest -- fed
    ON CONFLICT (digest) DO UPDATE SET skipped = excluded.skipped -- fed
), noted AS ( -- dated
    -- The standings of an ended period are to be written again. -- dated
    UPDATE period p SET players = NULL, late = p.late + 1 -- dated
    FROM ( -- dated
        SELECT DISTINCT w.period_id FROM written w JOIN late l ON l.period_id = w.period_id -- dated
        WHERE w.previous IS NULL OR w.reached <> w.previous_reached -- dated
    ) AS q -- dated
    WHERE p.period_id = q.period_id -- dated
), torn AS MATERIALIZED ( -- fed
    -- A submission counts in its season and in those that take it, or in none. A row that was not written, be it that a -- fed
    -- later number has overtaken it or that its sum may leave int64, tears those that are also in another row. -- fed
    SELECT p.ord, CASE WHEN bool_or(NOT p.is_fed AND p.operator = 0 AND w.period_id IS NULL) THEN 2 ELSE 9 END AS status -- fed
    FROM placed p LEFT JOIN written w ON w.period_id = p.period_id AND w.user_id = p.user_id GROUP BY p.ord -- fed
    HAVING bool_or(w.period_id IS NULL AND p.n > 1) -- fed
        OR (bool_or(w.period_id IS NOT NULL) -- fed
            -- A sum that leaves int64 in a fed season is skipped there. -- fed
            AND bool_or(w.period_id IS NULL AND NOT (p.is_fed AND p.operator = 0))) -- fed
)
SELECT i.ord,
       CASE
           WHEN j.refusal = 20 THEN 20
           WHEN d.ord IS NOT NULL THEN 0
           WHEN k.digest IS NOT NULL THEN CASE WHEN k.print = i.print THEN 3 ELSE 4 END -- keyed
           WHEN j.refusal > 0 THEN j.refusal
           WHEN (SELECT EXISTS (SELECT FROM restriction)) THEN 26 -- unmoderated
           WHEN b.status > 0 THEN b.status -- fed
           WHEN p.operator = 0 THEN 2 -- many
           WHEN p.ord IS NOT NULL THEN 9 -- many
           WHEN j.ord IS NOT NULL THEN 5 -- many
           WHEN j.operator = 0 THEN 2 -- once
           WHEN j.ord IS NOT NULL THEN 9 -- once
           ELSE 1
       END AS status,
       d.score, d.version, d.previous, d.improved, d.period, j.columns AS named
       , k.score AS first_score, k.version AS first_version -- keyed
       , k.previous AS first_previous, k.improved AS first_improved, k.period AS first_period -- keyed
       , k.skipped AS first_skipped -- keyed
       , o.skipped, b.due, (SELECT bit_or(1::bigint << partition) FROM changed) AS partitions, t.torn -- fed
FROM input i
LEFT JOIN judged j ON j.ord = i.ord
    AND NOT j.is_fed -- fed
LEFT JOIN placed p ON p.ord = i.ord -- many
    AND NOT p.is_fed -- fed
LEFT JOIN shown d ON d.ord = i.ord
    AND NOT d.is_fed -- fed
LEFT JOIN blocked b ON b.ord = i.ord -- fed
LEFT JOIN skipped o ON o.ord = i.ord -- fed
CROSS JOIN ( -- fed
    SELECT CASE WHEN count(*) > 0 THEN submissions_torn(string_agg(ord || ':' || status, ' ')) END AS torn FROM torn -- fed
) AS t -- fed
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
