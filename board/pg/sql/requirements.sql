-- Requirements: whether a pooler in front of PostgreSQL keeps a session for its client.

-- name: backend_pid --
SELECT pg_backend_pid()

-- name: take_session_lock --
-- Returns the process that has the lock now.
SELECT pg_backend_pid() FROM pg_advisory_lock(%(one)s::integer, %(other)s::integer)

-- name: session_lock_holder --
-- The process that has the lock, else null.
SELECT max(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted
  AND classid = %(one)s::integer::oid AND objid = %(other)s::integer::oid AND objsubid = 2
