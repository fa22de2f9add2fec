-- Standings: reads of the boards of periods.

-- name: named_period --
-- A period of a season by its number: whether there has been one, whether it is kept, current, has standings, and is final.
-- `late` rises while late submissions come, `restricted` with each change of a ban or a hidden player.
-- With a `user` there is this player's standing, too: a final rank is one query.
SELECT c.number AS current_number, p.period_id,
       p.period_id IS NOT NULL AND p.ended_at IS NULL AND p.expired_at IS NULL AS is_kept,
       p.period_id = s.period_id AS is_current, p.players IS NOT NULL AS has_standings, p.players, s.ranking,
       p.late, p.final_at IS NOT NULL AS is_final, p.columns,
       (SELECT number FROM restriction_changes) AS restricted,
       t.position, t.shared, t.user_id, t.score, t.columns AS run, t.reached
FROM season s JOIN period c ON c.period_id = s.period_id
LEFT JOIN period p ON p.season_id = s.season_id AND p.number = %(number)s
LEFT JOIN standing t ON t.period_id = p.period_id AND t.user_id = %(user)s
WHERE s.season_id = %(season)s

-- name: standings --
-- The standings from one position to another one. Where equal rows share a rank, it is that of the first one of them.
SELECT position, CASE WHEN %(shares)s THEN shared ELSE position END AS rank, user_id, score, columns, reached FROM standing
WHERE period_id = %(period)s AND position BETWEEN %(first)s AND %(last)s ORDER BY position

-- name: ranked --
-- As `standings`, of a period that has ended and has no standings yet: its rows are sorted for each read.
SELECT position, CASE WHEN %(shares)s THEN shared ELSE position END AS rank,
       user_id, CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END AS score, run,
       reached & 9223372036854775807 AS reached FROM (
    SELECT period_id, user_id, score, reached, columns_of(period_id, columns) AS run,
           row_number() OVER (
               ORDER BY score DESC, columns_of(period_id, columns) DESC, reached, user_id
           ) AS position,
           rank() OVER (ORDER BY score DESC, columns_of(period_id, columns) DESC) AS shared
    FROM shown_score WHERE period_id = %(period)s
) AS q
WHERE position BETWEEN %(first)s AND %(last)s ORDER BY position

-- name: ranked_player --
-- A player's place, as `ranked` has it.
SELECT 1 + better + earlier AS position, 1 + better + CASE WHEN %(shares)s THEN 0 ELSE earlier END AS rank,
       s.user_id, CASE WHEN s.period_id >> 56 & 1 = 1 THEN ~s.score ELSE s.score END AS score,
       columns_of(s.period_id, s.columns) AS run, s.reached & 9223372036854775807 AS reached
FROM shown_score s CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE o.score > s.score OR (o.score = s.score AND o.run > q.run)) AS better,
           count(*) FILTER (
               WHERE o.score = s.score AND o.run = q.run AND (o.reached, o.user_id) < (s.reached, s.user_id)
           ) AS earlier
    FROM (SELECT coalesce(columns_of(s.period_id, s.columns), '') AS run) AS q
    CROSS JOIN (
        SELECT user_id, score, reached, coalesce(columns_of(period_id, columns), '') AS run
        FROM shown_score WHERE period_id = %(period)s
    ) AS o
) AS c
WHERE s.period_id = %(period)s AND s.user_id = %(user)s

-- name: standings_until --
-- The number of standings that are not behind a row: a binary search, since positions have no gaps. `score` of the row is
-- the higher the better.
WITH RECURSIVE search (low, high) AS (
    SELECT 0::bigint, %(players)s::bigint
    UNION ALL
    SELECT CASE WHEN t.is_behind THEN s.low ELSE m.middle END, CASE WHEN t.is_behind THEN m.middle - 1 ELSE s.high END
    FROM search s
    CROSS JOIN LATERAL (SELECT (s.low + s.high + 1) / 2 AS middle) AS m
    CROSS JOIN LATERAL (
        SELECT CASE WHEN r.score <> %(score)s THEN r.score < %(score)s
                    WHEN r.run <> %(run)s THEN r.run < %(run)s
                    ELSE (r.reached, r.user_id) > (%(reached)s::bigint, %(user)s::text) END AS is_behind
        FROM (
            SELECT CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END AS score, coalesce(columns, '') AS run,
                   reached, user_id
            FROM standing WHERE period_id = %(period)s AND position >= m.middle ORDER BY position LIMIT 1
        ) AS r
    ) AS t
    WHERE s.low < s.high
)
SELECT low FROM search WHERE low >= high

-- name: ranked_until --
-- As `standings_until`, of a period that has ended and has no standings yet.
SELECT count(*) FROM (
    SELECT score, coalesce(columns_of(period_id, columns), '') AS run, reached & 9223372036854775807 AS reached, user_id
    FROM shown_score WHERE period_id = %(period)s AND score >= %(score)s
) AS r
WHERE CASE WHEN r.score <> %(score)s THEN true
           WHEN r.run <> %(run)s THEN r.run > %(run)s
           ELSE (r.reached, r.user_id) <= (%(reached)s::bigint, %(user)s::text) END

-- name: standings_of --
-- The standings of these players, best first.
SELECT position, CASE WHEN %(shares)s THEN shared ELSE position END AS rank, user_id, score, columns, reached FROM standing
WHERE period_id = %(period)s AND user_id = ANY (%(users)s::text[]) ORDER BY position

-- name: ranked_of --
-- As `standings_of`, of a period that has ended and has no standings yet.
SELECT position, CASE WHEN %(shares)s THEN shared ELSE position END AS rank,
       user_id, CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END AS score, run,
       reached & 9223372036854775807 AS reached FROM (
    SELECT period_id, user_id, score, reached, columns_of(period_id, columns) AS run,
           row_number() OVER (
               ORDER BY score DESC, columns_of(period_id, columns) DESC, reached, user_id
           ) AS position,
           rank() OVER (ORDER BY score DESC, columns_of(period_id, columns) DESC) AS shared
    FROM shown_score WHERE period_id = %(period)s
) AS q
WHERE user_id = ANY (%(users)s::text[]) ORDER BY position

-- name: standings_at --
-- The scores at positions, as they are stored, in the order of the positions.
SELECT CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END AS score FROM standing
WHERE period_id = %(period)s AND position = ANY (%(positions)s::bigint[]) ORDER BY position

-- name: ranked_at --
-- As `standings_at`, of a period that has ended and has no standings yet.
SELECT score FROM (
    SELECT score, row_number() OVER (ORDER BY score DESC) AS position FROM shown_score WHERE period_id = %(period)s
) AS q
WHERE position = ANY (%(positions)s::bigint[]) ORDER BY position

-- name: standings_from --
-- The numbers of standings with each of these scores, as they are stored, or a better one: a binary search for each.
WITH RECURSIVE search (nth, edge, low, high) AS (
    SELECT nth, edge, 0::bigint, %(players)s::bigint
    FROM unnest(%(edges)s::bigint[]) WITH ORDINALITY AS u (edge, nth)
    UNION ALL
    SELECT s.nth, s.edge, CASE WHEN t.is_behind THEN s.low ELSE m.middle END,
           CASE WHEN t.is_behind THEN m.middle - 1 ELSE s.high END
    FROM search s
    CROSS JOIN LATERAL (SELECT (s.low + s.high + 1) / 2 AS middle) AS m
    CROSS JOIN LATERAL (
        SELECT CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END < s.edge AS is_behind
        FROM standing WHERE period_id = %(period)s AND position >= m.middle ORDER BY position LIMIT 1
    ) AS t
    WHERE s.low < s.high
)
SELECT low FROM search WHERE low >= high ORDER BY nth

-- name: ranked_from --
-- As `standings_from`, of a period that has ended and has no standings yet. The scores rise.
WITH counted AS MATERIALIZED (
    SELECT width_bucket(score, %(edges)s::bigint[]) AS bucket, count(*) AS players FROM shown_score
    WHERE period_id = %(period)s AND score >= (%(edges)s::bigint[])[1] GROUP BY 1
)
SELECT coalesce((SELECT sum(c.players) FROM counted c WHERE c.bucket >= u.nth), 0)::bigint
FROM unnest(%(edges)s::bigint[]) WITH ORDINALITY AS u (edge, nth) ORDER BY nth
