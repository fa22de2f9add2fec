-- Prefix: the prefix of the keys in Redis that belong to this database.

-- name: recorded_prefix --
SELECT redis_prefix FROM cluster

-- name: record_prefix --
-- The first one stays.
UPDATE cluster SET redis_prefix = %(prefix)s WHERE redis_prefix IS NULL

-- name: replace_prefix --
UPDATE cluster SET redis_prefix = %(prefix)s
