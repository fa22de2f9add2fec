-- API keys: look up, create, rotate and revoke.

-- name: access_version --
-- A row only if the keys have changed since version `seen`, or if the session accepts no changes (`read_only`).
SELECT version, current_setting('transaction_read_only')::boolean AS read_only FROM access
WHERE version <> %(seen)s OR current_setting('transaction_read_only')::boolean

-- name: access_keys --
-- The version, the secret that signs and, in the same snapshot, all keys; one row with nulls if there is no key.
SELECT a.version, a.secret, k.id, k.digest, k.scopes, k.seasons, extract(epoch FROM k.expires_at)::float8 AS expires_at,
       k.revoked_at IS NOT NULL AS revoked
FROM access a LEFT JOIN api_key k ON true

-- name: public_seasons --
-- The seasons that need no credential for reads. The text decides first, since it is cheaper to look at.
SELECT season_id FROM season_definition
WHERE definition LIKE '%%"visibility":"public"%%' AND definition::json ->> 'visibility' = 'public'

-- name: lock_access --
-- Every change of keys holds this row until its commit. So two first starts at a time create one key.
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

-- name: find_key --
-- In the transaction of a change.
SELECT id, name, scopes, seasons, created_at, expires_at, revoked_at, rotated_at, successor
FROM api_key WHERE id = %(id)s FOR UPDATE

-- name: rotate_key --
-- The old key ends after `grace` seconds, or earlier if it expires earlier. No row for a key that is revoked, expired,
-- or has a successor.
UPDATE api_key
SET rotated_at = now(), successor = %(successor)s,
    expires_at = least(expires_at, now() + make_interval(secs => %(grace)s))
WHERE id = %(id)s AND revoked_at IS NULL AND rotated_at IS NULL AND coalesce(expires_at > now(), true)
RETURNING name, scopes, seasons

-- name: key_life --
-- The key's life in seconds, null for a key without expiry; to be read before a rotation shortens it.
SELECT extract(epoch FROM expires_at - created_at)::float8 FROM api_key WHERE id = %(id)s

-- name: revoke_key --
UPDATE api_key SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s

-- name: forget_dead_keys --
DELETE FROM api_key WHERE least(expires_at, revoked_at) < now() - interval '400 days'

-- name: ended_sessions --
SELECT id FROM ended_session WHERE until > now()

-- name: end_session --
-- Ended sessions are forgotten when their time is over: then no cookie of theirs is good.
WITH gone AS (DELETE FROM ended_session WHERE until < now())
INSERT INTO ended_session (id, until) VALUES (%(id)s, to_timestamp(%(until)s) + interval '1 hour') ON CONFLICT DO NOTHING
