-- Status: the state of each partition, and the seasons set aside.

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
