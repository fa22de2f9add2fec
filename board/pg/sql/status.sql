-- Status: the state of each partition, the seasons set aside, and the state of periods and events.

-- name: status --
SELECT p.id, p.fence, p.identity, p.committed_at, p.rebuilt_at,
       coalesce(o.pending, 0) AS pending,
       coalesce(extract(epoch FROM clock_timestamp() - o.oldest)::float8, 0) AS oldest_s,
       coalesce(s.seasons, 0) AS seasons
FROM partition p
LEFT JOIN (SELECT partition, count(*) AS pending, min(queued_at) AS oldest FROM outbox GROUP BY partition) o ON o.partition = p.id
LEFT JOIN (SELECT partition, count(*) AS seasons FROM season GROUP BY partition) s ON s.partition = p.id
ORDER BY p.id

-- name: seasons_set_aside --
SELECT season_id, partition, reason, tries, since, retry_at FROM ailing ORDER BY season_id

-- name: standbys --
-- What replicates from this server, without the copies that backups make. A role that is not of pg_monitor sees their names.
SELECT coalesce(application_name, '?') AS name, coalesce(state, 'unknown') AS state,
       coalesce(sync_state, 'unknown') AS sync,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS lag_bytes
FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'
ORDER BY application_name, pid

-- name: period_status --
-- One row. Overdue: the end has come, and nobody has turned the season. Unclosed: the grace is over, and the ranks are not
-- final. Held back: an older transaction is in progress, so that no reader is shown the event. `events` is exact up to
-- 10,000; 10,001 stands for more.
SELECT (SELECT EXISTS (
            SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND classid::bigint << 32 | objid::bigint = hashtextextended('leaderboard keeper ' || current_schema(), 0)
       )) AS keeper,
       due.overdue, due.overdue_s, closing.closing, closing.unclosed_s,
       (SELECT count(*) FROM (SELECT FROM event LIMIT 10001) AS counted) AS events,
       coalesce((SELECT extract(epoch FROM now() - min(at)) FROM event), 0)::float8 AS oldest_event_s,
       held.held_back, held.held_back_s
FROM (
    SELECT count(*) AS overdue, coalesce(extract(epoch FROM now() - min(ends_at)), 0)::float8 AS overdue_s
    FROM season WHERE ends_at <= now() AND NOT closed
) AS due CROSS JOIN (
    SELECT count(*) AS closing,
           greatest(coalesce(extract(epoch FROM now() - min(closes_at)), 0), 0)::float8 AS unclosed_s
    FROM period WHERE ends_at IS NOT NULL AND final_at IS NULL AND ended_at IS NULL AND expired_at IS NULL
) AS closing CROSS JOIN (
    SELECT count(*) AS held_back, greatest(coalesce(extract(epoch FROM now() - min(at)), 0), 0)::float8 AS held_back_s
    FROM event WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()) AND history = (
        SELECT h.history FROM history h WHERE h.identity = (
            SELECT system_identifier::text || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
            FROM pg_control_system()))
) AS held
