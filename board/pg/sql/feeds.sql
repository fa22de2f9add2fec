-- Feeds: what a change of them has to look at.

-- name: lock_feeds --
-- Before `lock_season`: changes of feeds come one after the other, so that no two of them make a cycle.
SELECT pg_advisory_xact_lock(hashtextextended('leaderboard feeds ' || current_schema(), 0))

-- name: all_feeds --
SELECT season_id, feeds FROM season WHERE feeds IS NOT NULL

-- name: missing_seasons --
SELECT name FROM unnest(%(seasons)s::text[]) AS u (name)
WHERE NOT EXISTS (SELECT FROM season s WHERE s.season_id = u.name)
