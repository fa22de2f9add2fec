-- Rebuild: read the boards of a partition, or of one season, and commit.

-- name: partition_seasons --
SELECT s.season_id, s.period_id, s.ranking, s.columns, s.period_number, l.user_id AS leader, s.segments FROM season s
LEFT JOIN leader l ON l.season_id = s.season_id AND l.period_id = s.period_id
WHERE s.partition = %(partition)s ORDER BY s.season_id

-- name: season_rows --
-- The rows of one period, inside COPY … TO STDOUT (FORMAT binary). They come in the order of the board, last first: each
-- one is inserted before all others, where the sorted set finds its place at once.
SELECT user_id, score, reached FROM shown_score WHERE period_id = %(period)s ORDER BY score, reached DESC

-- name: season_runs --
-- As `season_rows`, of a period with columns.
SELECT user_id, score, reached, columns_of(period_id, columns) FROM shown_score
WHERE period_id = %(period)s ORDER BY score, 4, reached DESC

-- name: commit_rebuild --
-- Every season of the partition was rebuilt, so none is set aside any more.
WITH well AS (
    DELETE FROM ailing WHERE partition = %(partition)s
)
UPDATE partition SET fence = %(fence)s, identity = %(identity)s, stamp = %(stamp)s, low_xid = '0',
    committed_at = clock_timestamp(), rebuilt_at = clock_timestamp()
WHERE ctid = (SELECT ctid FROM partition WHERE id >= %(partition)s AND id <= %(partition)s ORDER BY id DESC LIMIT 1)

-- name: commit_season --
WITH well AS (
    DELETE FROM ailing WHERE season_id = %(season)s
)
UPDATE partition SET fence = %(fence)s, stamp = %(stamp)s, committed_at = clock_timestamp()
WHERE ctid = (SELECT ctid FROM partition WHERE id >= %(partition)s AND id <= %(partition)s ORDER BY id DESC LIMIT 1)
