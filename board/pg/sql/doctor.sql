-- Doctor: settings and state of the server.

-- name: doctor_settings --
SELECT name, setting FROM pg_settings WHERE name = ANY (%(names)s)

-- name: doctor_state --
-- Clock in seconds since 1970, share of connections in use (0 to 1), longest transaction of any client in seconds,
-- whether this is a standby, whether the session accepts no changes.
SELECT extract(epoch FROM clock_timestamp())::float8 AS clock,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::float8
           / current_setting('max_connections')::float8 AS used,
       coalesce((SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
                 WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'), 0)::float8 AS longest_s,
       pg_is_in_recovery() AS standby,
       current_setting('transaction_read_only')::boolean AS read_only

-- name: doctor_buffers --
-- Bytes of `shared_buffers`, and of the table that every submission reads: `score` with its index.
SELECT pg_size_bytes(current_setting('shared_buffers')) AS buffers,
       pg_total_relation_size('score') AS scores

-- name: doctor_pools --
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = session_user
  AND starts_with(application_name, 'leaderboard-relay')

-- name: season_names --
SELECT season_id FROM season
