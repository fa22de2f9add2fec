-- Seasons of a player.

-- name: seasons_of_player --
-- Of the next `most` seasons by name those whose current period has a row of the player, `limit` at most; then the last one
-- that was looked at, and their number. It is a look at the key of `score` for each: an index by player would cost every
-- new row.
WITH looked AS MATERIALIZED (
    SELECT season_id, period_id FROM season WHERE season_id > %(after)s ORDER BY season_id LIMIT %(most)s
), found AS MATERIALIZED (
    SELECT l.season_id FROM looked l
    CROSS JOIN LATERAL (
        SELECT FROM shown_score s WHERE s.period_id = l.period_id AND s.user_id = %(user)s
        ORDER BY s.period_id, s.user_id LIMIT 1
    ) AS t
    ORDER BY l.season_id LIMIT %(limit)s
)
SELECT ARRAY(SELECT season_id FROM found ORDER BY season_id) AS seasons,
       (SELECT max(season_id) FROM looked) AS last, (SELECT count(*) FROM looked) AS looked
