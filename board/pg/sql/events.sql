-- Events: read in an order in which none is passed over.

-- name: events --
-- The events after a place, of one kind or of any (null), in the order of histories, transactions and numbers. Without those
-- of transactions that are younger than the oldest one in progress: an event of that one may still come before them. All
-- transactions of earlier histories have ended. (In ORDER BY a bare `xid` would be the text of the answer.)
SELECT history, xid::text AS xid, number, at, kind, season_id, period,
       CASE WHEN EXISTS (SELECT FROM restriction) THEN shown_event(kind, season_id, data) ELSE data END AS data
FROM event
WHERE (history, xid, number) > (%(history)s::integer, %(xid)s::xid8, %(number)s::bigint)
  AND (xid < pg_snapshot_xmin(pg_current_snapshot()) OR history < coalesce((
      SELECT h.history FROM history h WHERE h.identity = (
          SELECT system_identifier::text || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
          FROM pg_control_system())
  ), 2147483647))
  AND (%(kind)s::text IS NULL OR kind = %(kind)s::text)
ORDER BY event.history, event.xid, event.number LIMIT %(limit)s
