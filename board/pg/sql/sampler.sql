-- Sampler: rows to compare with Redis.

-- name: sample_seasons --
-- The next seasons by name. `size` is exact up to 2,000 players; 2,001 stands for more.
SELECT s.season_id, s.partition, s.period_id, s.ranking, s.columns, s.period_number, s.segments,
       (SELECT count(*) FROM (SELECT FROM shown_score r WHERE r.period_id = s.period_id LIMIT 2001) AS counted) AS size,
       s.segments IS NOT NULL AND EXISTS (SELECT FROM segment_value v WHERE v.period_id = s.period_id AND v.value = '' AND v.added_at < now() - interval '1 hour') AS crowded
FROM season s WHERE s.season_id > %(after)s ORDER BY s.season_id LIMIT %(limit)s

-- name: sample_players --
-- The named players, and the next eight by name after one of them: those may be missing in Redis.
(SELECT user_id, score, reached & 9223372036854775807 AS reached, columns_of(period_id, columns) AS columns
 FROM shown_score WHERE period_id = %(period)s AND user_id = ANY (%(users)s))
UNION
(SELECT user_id, score, reached & 9223372036854775807, columns_of(period_id, columns)
 FROM shown_score WHERE period_id = %(period)s AND user_id > %(after)s ORDER BY user_id LIMIT 8)

-- name: season_now --
-- `is_due`: the season is set aside, and the time of its next try has come. `crowded`: for an hour there have been more values of a segment than have boards.
SELECT s.season_id, s.period_id, s.ranking, s.columns, s.period_number, s.segments, EXISTS (SELECT FROM ailing a WHERE a.season_id = s.season_id) AS aside,
       EXISTS (SELECT FROM ailing a WHERE a.season_id = s.season_id AND a.retry_at <= now()) AS is_due,
       s.segments IS NOT NULL AND EXISTS (SELECT FROM segment_value v WHERE v.period_id = s.period_id AND v.value = '' AND v.added_at < now() - interval '1 hour') AS crowded
FROM season s
WHERE s.season_id = %(season)s

-- name: unsettled_users --
-- Players of a period whose hints no relay has taken yet; null for a hint of the period itself.
SELECT DISTINCT user_id FROM outbox WHERE partition = %(partition)s AND period_id = %(period)s

-- name: count_players --
SELECT count(*) AS players FROM shown_score WHERE period_id = %(period)s
