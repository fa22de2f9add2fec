-- Seasons: create, lock and reset.

-- name: create_seasons --
-- Create the seasons that do not exist, each with its first period. Of two concurrent callers one creates the season; the
-- other one's period is never used.
WITH wanted AS MATERIALIZED (
    SELECT season_id, partition FROM unnest(%(seasons)s::text[], %(partitions)s::smallint[]) AS u (season_id, partition)
    WHERE NOT EXISTS (SELECT FROM season s WHERE s.season_id = u.season_id)
), first AS (
    INSERT INTO period (season_id, number) SELECT season_id, 1 FROM wanted ORDER BY season_id
    ON CONFLICT (season_id, number) DO NOTHING
    RETURNING season_id, period_id
), made AS (
    INSERT INTO season (season_id, partition, period_id)
    SELECT f.season_id, w.partition, f.period_id FROM first f JOIN wanted w ON w.season_id = f.season_id
    ORDER BY f.season_id
    ON CONFLICT (season_id) DO NOTHING
    RETURNING partition, period_id
)
INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, NULL FROM made

-- name: lock_season --
SELECT partition, period_id FROM season WHERE season_id = %(season)s FOR UPDATE

-- name: reset_season --
-- In the transaction of `lock_season`: end the old period, begin a new one, leave a hint. Returns the new period.
WITH ended AS (
    UPDATE period SET ended_at = clock_timestamp() WHERE period_id = %(period)s RETURNING season_id, number
), next AS (
    INSERT INTO period (season_id, number) SELECT season_id, number + 1 FROM ended RETURNING season_id, period_id
), turned AS (
    UPDATE season s SET period_id = next.period_id FROM next WHERE s.season_id = next.season_id
    RETURNING s.partition, s.period_id
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, NULL FROM turned
)
SELECT period_id FROM turned
