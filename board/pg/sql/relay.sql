-- Relay: find partitions with hints, claim one, take its hints, commit; leaders, fences and seasons set aside.

-- name: identity --
-- The identity of this PostgreSQL: cluster and timeline. A restored dump is another cluster, a promoted standby another
-- timeline.
SELECT system_identifier::text || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) AS identity
FROM pg_control_system()

-- name: epoch --
-- The epoch: one run of one server. Fences are drawn once in an epoch. A server that is started on an older copy of its data
-- has the same identity, and another epoch.
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text AS epoch

-- name: read_only --
-- Whether the session accepts no changes.
SELECT current_setting('transaction_read_only')::boolean AS read_only

-- name: pending_partitions --
-- Partitions that have hints. `low_xid` keeps the look-up from walking over dead index entries.
-- PERF: every commit of a relay leaves a dead version of its `partition` row, and a long transaction keeps all of them.
-- Equal index entries lie in the order of their places, so a scan from the end finds the newest version first. The
-- condition is a range: for `=` the planner drops the order, and the scan starts with the oldest. The same holds below.
SELECT p.id FROM generate_series(0, %(partitions)s - 1) AS n
CROSS JOIN LATERAL (
    SELECT id, identity, low_xid, committed_at FROM partition
    WHERE id >= n::smallint AND id <= n::smallint ORDER BY id DESC LIMIT 1
) AS p
WHERE EXISTS (
    SELECT FROM outbox o
    WHERE o.partition = p.id
      AND o.xid >= CASE WHEN p.identity = %(identity)s THEN p.low_xid ELSE '0'::xid8 END
)
ORDER BY p.committed_at NULLS FIRST

-- name: claim --
SELECT p.fence, (CASE WHEN p.identity = %(identity)s THEN p.low_xid ELSE '0'::xid8 END)::text AS low_xid,
       p.identity, p.stamp
FROM partition p WHERE p.id >= %(partition)s AND p.id <= %(partition)s
ORDER BY p.id DESC LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: take --
-- After `claim`, as a statement of its own: its snapshot must be younger than the claim. Otherwise a relay could read
-- rows older than those that the previous holder has applied. Output: one row for each season, with arrays of players,
-- scores, versions and columns; several hints of one player are one entry. Without hints: one row, its season null.
-- `profiles` are the players with a hint of the period 0: their profiles are read afterwards (`shown_profiles`). `moved` are
-- those with one of the period -1: other attributes (`hint_segments`).
-- `take_traced` also takes the traces of the hints: "parent@seconds since queued", separated by spaces.
WITH taken AS (
    DELETE FROM outbox WHERE ctid = ANY (ARRAY(
        SELECT o.ctid FROM outbox o
        WHERE o.partition = %(partition)s AND o.xid >= %(low_xid)s::xid8
        ORDER BY o.xid LIMIT CASE
            -- The hints of a correction are carried by one batch, which may be larger for it.
            -- PERF: without a correction under way it is one look at an index.
            WHEN EXISTS (SELECT FROM correction c WHERE c.partition = %(partition)s AND c.xid >= %(low_xid)s::xid8) THEN coalesce((
                SELECT q.up_to FROM (
                    SELECT c.xid, b.before, b.up_to FROM correction c
                    CROSS JOIN LATERAL (
                        SELECT count(*) FILTER (WHERE b.xid < c.xid) AS before, count(*) AS up_to FROM outbox b
                        WHERE b.partition = %(partition)s AND b.xid >= %(low_xid)s::xid8 AND b.xid <= c.xid
                    ) AS b
                    WHERE c.partition = %(partition)s AND c.xid >= %(low_xid)s::xid8
                ) AS q
                WHERE q.before < %(limit)s::bigint AND q.up_to > %(limit)s::bigint ORDER BY q.xid LIMIT 1), %(limit)s::bigint)
            ELSE %(limit)s::bigint
        END
    ))
    RETURNING xid, period_id, user_id, queued_at
), traces AS ( -- traced
    DELETE FROM trace t WHERE t.partition = %(partition)s AND t.xid >= %(low_xid)s::xid8 -- traced
      -- PERF: IS TRUE rules out a join, which would compare every trace with every hint. -- traced
      AND ((t.xid, t.period_id, t.user_id) IN (SELECT xid, period_id, user_id FROM taken)) IS TRUE -- traced
    RETURNING t.parent, t.queued_at -- traced
), stats AS (
    SELECT nextval('fence') AS fence, count(*) AS hints,
           -- Not past a transaction in progress: its hints have older numbers and are not visible yet.
           CASE WHEN count(*) < %(limit)s THEN pg_snapshot_xmin(pg_current_snapshot())::text
                ELSE least(max(t.xid::text::bigint), pg_snapshot_xmin(pg_current_snapshot())::text::bigint)::text
           END AS low_xid,
           extract(epoch FROM clock_timestamp() - min(t.queued_at))::float8 AS oldest_s,
           -- Players whose profiles have changed. An id has no line break.
           string_agg(DISTINCT t.user_id, E'\n') FILTER (WHERE t.period_id = 0) AS profiles,
           string_agg(DISTINCT t.user_id, E'\n') FILTER (WHERE t.period_id = -1) AS moved
    FROM taken t
), changed AS (
    SELECT DISTINCT period_id, user_id FROM taken
), grouped AS (
    SELECT s.season_id, s.period_id, s.ranking, s.columns AS named, s.period_number, s.segments,
           coalesce(array_agg(c.user_id) FILTER (WHERE c.user_id IS NOT NULL), '{}') AS users,
           coalesce(array_agg(r.score) FILTER (WHERE c.user_id IS NOT NULL), '{}') AS scores,
           coalesce(array_agg(r.reached) FILTER (WHERE c.user_id IS NOT NULL), '{}') AS reached,
           -- null in a season without columns.
           array_agg(columns_of(s.period_id, r.columns))
               FILTER (WHERE c.user_id IS NOT NULL AND s.columns IS NOT NULL) AS columns
    FROM changed c
    -- Hints of an ended period are dropped here: the reset has left a hint of its own. Hints of a season that is set
    -- aside are dropped, too: the season will be rebuilt.
    JOIN season s ON s.period_id = c.period_id AND NOT EXISTS (SELECT FROM ailing a WHERE a.season_id = s.season_id)
    LEFT JOIN shown_score r ON r.period_id = c.period_id AND r.user_id = c.user_id
    GROUP BY s.season_id, s.period_id, s.ranking, s.columns, s.period_number, s.segments
)
SELECT t.fence, t.hints, t.low_xid, t.oldest_s, t.profiles, t.moved, g.season_id, g.period_id, g.ranking, g.named, g.period_number,
       g.segments, l.user_id AS leader, g.users, g.scores, g.reached, g.columns
       , (SELECT string_agg(parent || '@' || extract(epoch FROM clock_timestamp() - queued_at)::float8, ' ') -- traced
          FROM traces) AS traces -- traced
FROM stats t LEFT JOIN grouped g ON true
-- PERF: a look-up for each season, not for each player.
LEFT JOIN leader l ON l.season_id = g.season_id AND l.period_id = g.period_id

-- name: commit_fence --
UPDATE partition SET fence = %(fence)s, identity = %(identity)s, stamp = %(stamp)s, low_xid = %(low_xid)s::xid8,
    committed_at = clock_timestamp()
WHERE ctid = (SELECT ctid FROM partition WHERE id >= %(partition)s AND id <= %(partition)s ORDER BY id DESC LIMIT 1)

-- name: change_leaders --
-- After `take`, in its transaction: the first players of some boards, where they are others than `take` found; a null user
-- for an empty board. Each is an event. Under the claim nobody else writes these rows.
-- The season's lock, and a place in the order after all transactions that have ended, keep the events of a season in order:
-- before the `period.ended` of their period, and after that of the period before. A period that has ended has no new leader.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest(%(seasons)s::text[], %(periods)s::bigint[], %(users)s::text[], %(scores)s::bigint[])
        AS u (season_id, period_id, user_id, score)
), held AS MATERIALIZED (
    SELECT w.season_id, w.period_id, w.user_id, w.score
    FROM wanted w JOIN season s ON s.season_id = w.season_id AND s.period_id = w.period_id AND NOT s.closed
    ORDER BY w.season_id
    FOR KEY SHARE OF s
), changed AS MATERIALIZED (
    SELECT h.season_id, h.period_id, h.user_id, h.score, p.number, l.user_id AS previous
    FROM held h JOIN period p ON p.period_id = h.period_id
    LEFT JOIN leader l ON l.season_id = h.season_id AND l.period_id = h.period_id
    -- A board that was altered by hand may show a player who has no row; another one shows a banned player until the hint of it is
    -- carried.
    WHERE h.user_id IS NULL OR EXISTS (SELECT FROM shown_score r WHERE r.period_id = h.period_id AND r.user_id = h.user_id)
), kept AS (
    INSERT INTO leader (season_id, period_id, user_id) SELECT season_id, period_id, user_id FROM changed
    ON CONFLICT (season_id) DO UPDATE SET period_id = excluded.period_id, user_id = excluded.user_id
)
INSERT INTO event (history, xid, kind, season_id, period, data)
SELECT %(history)s, greatest(pg_current_xact_id(), pg_snapshot_xmax(pg_current_snapshot())), 'leader.changed', season_id, number,
       jsonb_build_object('userId', user_id, 'score', score, 'previousUserId', previous)::text
FROM changed WHERE user_id IS NOT NULL AND previous IS DISTINCT FROM ''

-- name: hint_leaders --
-- After a rebuild, in its transaction: a hint for each of these boards, so that the next batch finds its new leader.
INSERT INTO outbox (partition, period_id, user_id)
SELECT %(partition)s, period_id, NULL FROM unnest(%(periods)s::bigint[]) AS u (period_id)

-- name: set_aside --
-- A season that Redis refuses. The time to the next try doubles with each one, from a second to five minutes.
INSERT INTO ailing AS a (season_id, partition, reason, retry_at)
VALUES (%(season)s, %(partition)s, %(reason)s, now() + interval '1 second')
ON CONFLICT (season_id) DO UPDATE
SET reason = excluded.reason, tries = a.tries + 1,
    retry_at = now() + least(interval '5 minutes', interval '1 second' * 2 ^ least(a.tries, 20))

-- name: set_aside_due --
SELECT season_id, partition FROM ailing WHERE retry_at <= now() ORDER BY retry_at LIMIT 100

-- name: draw_fence --
SELECT nextval('fence') AS fence

-- name: advance_fence --
-- Draw a fence above `floor`, also when the sequence is behind it (PostgreSQL has lost history). Only then is the sequence
-- set: a setval below the numbers that others have drawn meanwhile would give out numbers twice.
SELECT CASE WHEN drawn > %(floor)s::bigint THEN drawn ELSE setval('fence', %(floor)s::bigint + 1) END AS fence
FROM (SELECT nextval('fence') AS drawn OFFSET 0) AS d

-- name: last_fence --
SELECT last_value AS fence FROM fence

-- name: partition_fences --
SELECT p.id, p.fence, p.identity FROM generate_series(0, %(partitions)s - 1) AS n
CROSS JOIN LATERAL (
    SELECT id, fence, identity FROM partition
    WHERE id >= n::smallint AND id <= n::smallint ORDER BY id DESC LIMIT 1
) AS p
ORDER BY p.id
