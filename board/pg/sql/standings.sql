-- Standings: reads of the boards of periods.

-- name: named_period --
-- A period of a season by its number: whether there has been one, whether it is kept, current, and has standings.
SELECT c.number AS current_number, p.period_id,
       p.period_id IS NOT NULL AND p.ended_at IS NULL AND p.expired_at IS NULL AS is_kept,
       p.period_id = s.period_id AS is_current, p.players IS NOT NULL AS has_standings, p.players
FROM season s JOIN period c ON c.period_id = s.period_id
LEFT JOIN period p ON p.season_id = s.season_id AND p.number = %(number)s
WHERE s.season_id = %(season)s

-- name: standings --
-- The standings from one position to another one.
SELECT position, user_id, score, reached FROM standing
WHERE period_id = %(period)s AND position BETWEEN %(first)s AND %(last)s ORDER BY position

-- name: standing --
SELECT position, user_id, score, reached FROM standing WHERE period_id = %(period)s AND user_id = %(user)s

-- name: ranked --
-- As `standings`, of a period that has ended and has no standings yet: its rows are sorted for each read.
SELECT position, user_id, CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END AS score, reached FROM (
    SELECT period_id, user_id, score, reached, row_number() OVER (ORDER BY score DESC, reached, user_id) AS position
    FROM score WHERE period_id = %(period)s
) AS q
WHERE position BETWEEN %(first)s AND %(last)s ORDER BY position

-- name: ranked_player --
-- As `standing`.
SELECT (SELECT 1 + count(*) FROM score o WHERE o.period_id = s.period_id AND (
            o.score > s.score OR (o.score = s.score AND (o.reached, o.user_id) < (s.reached, s.user_id)))) AS position,
       s.user_id, CASE WHEN s.period_id >> 56 & 1 = 1 THEN ~s.score ELSE s.score END AS score, s.reached
FROM score s WHERE s.period_id = %(period)s AND s.user_id = %(user)s
