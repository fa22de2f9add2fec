-- Probe: whether submissions can be committed, and how far the relays are behind. The first statement of the probe is
-- `submit` itself, without submissions: it needs every right and every lock of a real one.

-- name: probe_commit --
-- A record in the write-ahead log, so that the commit waits for the disk and for synchronous standbys. It leaves no row.
SELECT pg_logical_emit_message(true, 'leaderboard', '')

-- name: oldest_hint --
-- The age of the oldest hint in seconds, 0 without any. One look-up for each partition, as in `pending_partitions`.
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(o.queued_at)), 0)::float8 AS age_s
FROM generate_series(0, %(partitions)s - 1) AS n
CROSS JOIN LATERAL (
    SELECT id, identity, low_xid FROM partition
    WHERE id >= n::smallint AND id <= n::smallint ORDER BY id DESC LIMIT 1
) AS p
CROSS JOIN LATERAL (
    SELECT queued_at FROM outbox
    WHERE partition = p.id
      AND xid >= CASE
          WHEN p.identity = (
              SELECT system_identifier::text || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
              FROM pg_control_system()
          ) THEN p.low_xid ELSE '0'::xid8 END
    ORDER BY xid LIMIT 1
) AS o
