-- API keys: look up, create, rotate and revoke.

-- name: access_version --
-- A row only when something changed since the version seen.
SELECT version FROM access WHERE version <> %(seen)s

-- name: access_keys --
-- The version and, in the same snapshot, all keys.
SELECT a.version, k.id, k.digest, k.scopes, k.seasons, extract(epoch FROM k.expires_at)::float8, k.revoked_at IS NOT NULL
FROM access a LEFT JOIN api_key k ON true

-- name: lock_access --
-- Whoever changes keys holds this row until the commit, so that two first starts make one key.
SELECT version FROM access FOR UPDATE

-- name: any_key --
SELECT EXISTS (SELECT FROM api_key)

-- name: create_key --
INSERT INTO api_key (id, digest, name, scopes, seasons, expires_at)
VALUES (%(id)s, %(digest)s, %(name)s, %(scopes)s, %(seasons)s, now() + make_interval(secs => %(lives)s))
RETURNING id, name, scopes, seasons, created_at, expires_at, revoked_at, rotated_at, successor

-- name: list_keys --
SELECT id, name, scopes, seasons, created_at, expires_at, revoked_at, rotated_at, successor
FROM api_key ORDER BY created_at, id

-- name: rotate_key --
-- The old one ends after the time of grace, or earlier if it would have; only a valid one without a successor can.
UPDATE api_key
SET rotated_at = now(), successor = %(successor)s,
    expires_at = least(expires_at, now() + make_interval(secs => %(grace)s))
WHERE id = %(id)s AND revoked_at IS NULL AND rotated_at IS NULL AND coalesce(expires_at > now(), true)
RETURNING name, scopes, seasons

-- name: key_life --
-- How many seconds the key was made for, null for ever; read before a rotation shortens it.
SELECT extract(epoch FROM expires_at - created_at)::float8 FROM api_key WHERE id = %(id)s

-- name: revoke_key --
UPDATE api_key SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s
RETURNING id, name, scopes, seasons, created_at, expires_at, revoked_at, rotated_at, successor

-- name: forget_dead_keys --
DELETE FROM api_key WHERE least(expires_at, revoked_at) < now() - interval '400 days'
