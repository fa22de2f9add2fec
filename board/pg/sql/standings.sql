-- Standings: reads of the boards of periods.

-- name: named_period --
-- A period of a season by its number: whether there has been one, whether it is kept, current, has standings, and is final.
-- `late` rises while late submissions come.
SELECT c.number AS current_number, p.period_id,
       p.period_id IS NOT NULL AND p.ended_at IS NULL AND p.expired_at IS NULL AS is_kept,
       p.period_id = s.period_id AS is_current, p.players IS NOT NULL AS has_standings, p.players, s.ranking,
       p.late, p.final_at IS NOT NULL AS is_final
FROM season s JOIN period c ON c.period_id = s.period_id
LEFT JOIN period p ON p.season_id = s.season_id AND p.number = %(number)s
WHERE s.season_id = %(season)s

-- name: standings --
-- The standings from one position to another one. Where equal rows share a rank, it is that of the first one of them.
SELECT position, CASE WHEN %(shares)s THEN shared ELSE position END AS rank, user_id, score, reached FROM standing
WHERE period_id = %(period)s AND position BETWEEN %(first)s AND %(last)s ORDER BY position

-- name: standing --
SELECT position, CASE WHEN %(shares)s THEN shared ELSE position END AS rank, user_id, score, reached FROM standing
WHERE period_id = %(period)s AND user_id = %(user)s

-- name: ranked --
-- As `standings`, of a period that has ended and has no standings yet: its rows are sorted for each read.
SELECT position, CASE WHEN %(shares)s THEN shared ELSE position END AS rank,
       user_id, CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END AS score, reached FROM (
    SELECT period_id, user_id, score, reached, row_number() OVER (ORDER BY score DESC, reached, user_id) AS position,
           rank() OVER (ORDER BY score DESC) AS shared
    FROM score WHERE period_id = %(period)s
) AS q
WHERE position BETWEEN %(first)s AND %(last)s ORDER BY position

-- name: ranked_player --
-- As `standing`.
SELECT 1 + better + earlier AS position, 1 + better + CASE WHEN %(shares)s THEN 0 ELSE earlier END AS rank,
       s.user_id, CASE WHEN s.period_id >> 56 & 1 = 1 THEN ~s.score ELSE s.score END AS score, s.reached
FROM score s CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE o.score > s.score) AS better,
           count(*) FILTER (WHERE o.score = s.score AND (o.reached, o.user_id) < (s.reached, s.user_id)) AS earlier
    FROM score o WHERE o.period_id = s.period_id
) AS q
WHERE s.period_id = %(period)s AND s.user_id = %(user)s
