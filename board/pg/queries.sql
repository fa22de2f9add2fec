-- All SQL of the house, each under its name. Parameters are psycopg's: %(name)s.
-- Arrays %(…)b are PostgreSQL binary arrays made by the kernels.

-- name: schema_versions --
SELECT version FROM schema_migration ORDER BY version

-- name: identity --
-- Which PostgreSQL this is: cluster and timeline. A restored dump is another cluster, a promoted standby another timeline.
SELECT system_identifier::text || ':' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
FROM pg_control_system()

-- name: submit --
-- One batch of submissions in one statement. Input: parallel arrays in order of arrival.
-- Output: a row per submission (ord from 1): the player's score after it and its version;
-- status 0 written, 1 the season does not exist yet, 2 the sum would leave int64 (or, among several of
-- one player in this batch, might: such ones are to be sent again one by one), 3 written before under this key,
-- 4 the key was used for something else, 5 the key is twice in this batch and this is not the first: send again.
-- Lines that end in "-- keyed" are left out of the text for batches without idempotency keys, those that end in
-- "-- traced" out of the one for batches of which nothing is traced.
WITH input AS MATERIALIZED (
    SELECT i.ord, i.season_id, i.user_id, i.delta,
           i.digest::uuid AS digest, i.print::uuid AS print, -- keyed
           i.trace, -- traced
           nextval('submission') AS submission
    FROM unnest(%(seasons)s, %(users)s, %(deltas)s
                , %(digests)s, %(prints)s -- keyed
                , %(traces)s -- traced
         ) WITH ORDINALITY AS i (season_id, user_id, delta
                , digest, print -- keyed
                , trace -- traced
         , ord)
), known AS MATERIALIZED ( -- keyed
    SELECT k.digest, k.print, k.score, k.version FROM idempotency k -- keyed
    WHERE k.digest = ANY (ARRAY(SELECT digest FROM input WHERE digest IS NOT NULL)) -- keyed
), first AS MATERIALIZED ( -- keyed
    SELECT min(ord) AS ord FROM input -- keyed
    WHERE digest IS NOT NULL AND digest NOT IN (SELECT digest FROM known) -- keyed
    GROUP BY digest -- keyed
), here AS MATERIALIZED (
    -- The lock makes a reset wait for us, or us for it; after the wait the row read is the new one.
    SELECT season_id, partition, period_id FROM season
    WHERE season_id = ANY (ARRAY(SELECT DISTINCT season_id FROM input))
    ORDER BY season_id FOR KEY SHARE
), placed AS MATERIALIZED (
    SELECT i.ord, i.user_id, i.delta, i.submission, h.period_id,
           i.digest, i.print, -- keyed
           sum(i.delta) OVER w AS upto, count(*) OVER w AS nth
    FROM input i JOIN here h ON h.season_id = i.season_id
    WHERE i.digest IS NULL OR i.ord IN (SELECT ord FROM first) -- keyed
    WINDOW w AS (PARTITION BY h.period_id, i.user_id ORDER BY i.ord)
), folded AS MATERIALIZED (
    SELECT period_id, user_id, sum(delta) AS total, count(*) AS n, max(submission) AS reached
    FROM placed GROUP BY period_id, user_id
    -- Several of one player: every intermediate sum must stay far from the edge, whatever the start (see below).
    HAVING count(*) = 1
        OR (max(upto) <= 2305843009213693952 AND min(upto) >= -2305843009213693952)
), written AS (
    INSERT INTO score AS s (period_id, user_id, score, reached, submissions)
    SELECT period_id, user_id, total::bigint, reached, n FROM folded ORDER BY period_id, user_id
    ON CONFLICT (period_id, user_id) DO UPDATE
    SET score = s.score + excluded.score,
        -- A concurrent batch may hold a higher number for this player: the row still has to move forward.
        reached = greatest(s.reached + excluded.submissions, excluded.reached),
        submissions = s.submissions + excluded.submissions
    WHERE CASE
        WHEN excluded.submissions > 1
            THEN s.score BETWEEN -4611686018427387904 AND 4611686018427387903
        WHEN excluded.score > 0 THEN s.score <= 9223372036854775807 - excluded.score
        ELSE s.score >= -9223372036854775808 - excluded.score
    END
    RETURNING s.period_id, s.user_id, s.score, s.reached
), done AS MATERIALIZED (
    SELECT p.ord, p.user_id, p.delta, p.submission, p.period_id,
           p.digest, p.print, -- keyed
           w.score - (f.total - p.upto)::bigint AS score,
           w.reached - (f.n - p.nth) AS version
    FROM placed p
    JOIN folded f ON f.period_id = p.period_id AND f.user_id = p.user_id
    JOIN written w ON w.period_id = p.period_id AND w.user_id = p.user_id
), ledgered AS (
    INSERT INTO ledger (submission, period_id, user_id, delta)
    SELECT submission, period_id, user_id, delta FROM done
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id)
    SELECT h.partition, w.period_id, w.user_id FROM written w JOIN here h ON h.period_id = w.period_id
), traced AS ( -- traced
    -- A batch request is traced as a whole: one row, not one for each of its submissions. -- traced
    INSERT INTO trace (partition, period_id, user_id, parent) -- traced
    SELECT DISTINCT ON (i.trace) h.partition, d.period_id, d.user_id, i.trace -- traced
    FROM done d JOIN input i ON i.ord = d.ord JOIN here h ON h.period_id = d.period_id -- traced
    WHERE i.trace IS NOT NULL ORDER BY i.trace, d.ord DESC -- traced
), keyed AS ( -- keyed
    -- A concurrent batch with the same key makes this a unique violation: all is rolled back, and sent again it finds
    -- the key known. In order, so that two batches with two such keys cannot deadlock.
    INSERT INTO idempotency (digest, print, score, version) -- keyed
    SELECT digest, print, score, version FROM done WHERE digest IS NOT NULL ORDER BY digest -- keyed
)
SELECT i.ord,
       CASE
           WHEN d.ord IS NOT NULL THEN 0
           WHEN p.ord IS NOT NULL THEN 2
           WHEN k.digest IS NOT NULL THEN CASE WHEN k.print = i.print THEN 3 ELSE 4 END -- keyed
           WHEN h.season_id IS NOT NULL THEN 5 -- keyed
           ELSE 1
       END AS status,
       d.score, d.version
       , k.score AS first_score, k.version AS first_version -- keyed
FROM input i
LEFT JOIN placed p ON p.ord = i.ord
LEFT JOIN done d ON d.ord = i.ord
LEFT JOIN known k ON k.digest = i.digest -- keyed
LEFT JOIN here h ON h.season_id = i.season_id -- keyed
ORDER BY i.ord

-- name: create_seasons --
-- Seasons that do not exist yet get their first period. Concurrent callers agree: the loser's period is never used.
WITH wanted AS MATERIALIZED (
    SELECT season_id, partition FROM unnest(%(seasons)s::text[], %(partitions)s::smallint[]) AS u (season_id, partition)
    WHERE NOT EXISTS (SELECT FROM season s WHERE s.season_id = u.season_id)
), first AS (
    INSERT INTO period (season_id, number) SELECT season_id, 1 FROM wanted ORDER BY season_id
    ON CONFLICT (season_id, number) DO NOTHING
    RETURNING season_id, period_id
), made AS (
    INSERT INTO season (season_id, partition, period_id)
    SELECT f.season_id, w.partition, f.period_id FROM first f JOIN wanted w ON w.season_id = f.season_id
    ORDER BY f.season_id
    ON CONFLICT (season_id) DO NOTHING
    RETURNING partition, period_id
)
INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, NULL FROM made

-- name: lock_season --
SELECT partition, period_id FROM season WHERE season_id = %(season)s FOR UPDATE

-- name: reset_season --
-- In the transaction that holds the season's row FOR UPDATE: a new period, the old one ended, one hint.
WITH ended AS (
    UPDATE period SET ended_at = clock_timestamp() WHERE period_id = %(period)s RETURNING season_id, number
), next AS (
    INSERT INTO period (season_id, number) SELECT season_id, number + 1 FROM ended RETURNING season_id, period_id
), turned AS (
    UPDATE season s SET period_id = next.period_id FROM next WHERE s.season_id = next.season_id
    RETURNING s.partition, s.period_id
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, NULL FROM turned
)
SELECT period_id FROM turned

-- name: pending_partitions --
-- Partitions that have hints. `low_xid` keeps the look-up from walking over dead index entries.
-- Every commit of a relay leaves a dead version of its `partition` row, and somebody's old snapshot keeps them all.
-- Equal index entries lie in the order of their places, so a scan from the end meets the newest version first and stops
-- there. Written as a range: for `=` the planner drops the order, and the scan starts with the oldest. So below, too.
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
SELECT p.fence, (CASE WHEN p.identity = %(identity)s THEN p.low_xid ELSE '0'::xid8 END)::text AS low_xid
FROM partition p WHERE p.id >= %(partition)s AND p.id <= %(partition)s
ORDER BY p.id DESC LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: take --
-- After `claim`, as a statement of its own: its snapshot must be younger than the claim, else a relay could read
-- rows older than those its predecessor has applied. Folds hints per player; one output row per season, of arrays.
-- With lines that end in "-- traced", traces of the hints are taken along: "parent@seconds since queued", by spaces.
WITH taken AS (
    DELETE FROM outbox WHERE ctid = ANY (ARRAY(
        SELECT o.ctid FROM outbox o
        WHERE o.partition = %(partition)s AND o.xid >= %(low_xid)s::xid8
        ORDER BY o.xid LIMIT %(limit)s
    ))
    RETURNING xid, period_id, user_id, queued_at
), traces AS ( -- traced
    DELETE FROM trace t WHERE t.partition = %(partition)s AND t.xid >= %(low_xid)s::xid8 -- traced
      -- IS TRUE: never a join, which would compare every trace with every hint. -- traced
      AND ((t.xid, t.period_id, t.user_id) IN (SELECT xid, period_id, user_id FROM taken)) IS TRUE -- traced
    RETURNING t.parent, t.queued_at -- traced
), stats AS (
    SELECT nextval('fence') AS fence, count(*) AS hints,
           -- Never past a transaction still in progress: its hints are older than ours and not visible yet.
           CASE WHEN count(*) < %(limit)s THEN pg_snapshot_xmin(pg_current_snapshot())::text
                ELSE least(max(t.xid::text::bigint), pg_snapshot_xmin(pg_current_snapshot())::text::bigint)::text
           END AS low_xid,
           extract(epoch FROM clock_timestamp() - min(t.queued_at))::float8 AS oldest_s
    FROM taken t
), changed AS (
    SELECT DISTINCT period_id, user_id FROM taken
), grouped AS (
    SELECT s.season_id, s.period_id,
           coalesce(array_agg(c.user_id) FILTER (WHERE c.user_id IS NOT NULL), '{}') AS users,
           coalesce(array_agg(r.score) FILTER (WHERE c.user_id IS NOT NULL), '{}') AS scores,
           coalesce(array_agg(r.reached) FILTER (WHERE c.user_id IS NOT NULL), '{}') AS reached
    FROM changed c
    -- Hints of periods that have ended are dropped here: the reset left a hint of its own. So are those of seasons set
    -- aside: they will be loaded whole.
    JOIN season s ON s.period_id = c.period_id AND NOT EXISTS (SELECT FROM ailing a WHERE a.season_id = s.season_id)
    LEFT JOIN score r ON r.period_id = c.period_id AND r.user_id = c.user_id
    GROUP BY s.season_id, s.period_id
)
SELECT t.fence, t.hints, t.low_xid, t.oldest_s, g.season_id, g.period_id, g.users, g.scores, g.reached
       , (SELECT string_agg(parent || '@' || extract(epoch FROM clock_timestamp() - queued_at)::float8, ' ') -- traced
          FROM traces) AS traces -- traced
FROM stats t LEFT JOIN grouped g ON true

-- name: commit_fence --
UPDATE partition SET fence = %(fence)s, identity = %(identity)s, low_xid = %(low_xid)s::xid8, committed_at = clock_timestamp()
WHERE ctid = (SELECT ctid FROM partition WHERE id >= %(partition)s AND id <= %(partition)s ORDER BY id DESC LIMIT 1)

-- name: commit_rebuild --
-- All seasons of the partition are as PostgreSQL has them, so none is ailing any more.
WITH well AS (
    DELETE FROM ailing WHERE partition = %(partition)s
)
UPDATE partition SET fence = %(fence)s, identity = %(identity)s, low_xid = '0',
    committed_at = clock_timestamp(), rebuilt_at = clock_timestamp()
WHERE ctid = (SELECT ctid FROM partition WHERE id >= %(partition)s AND id <= %(partition)s ORDER BY id DESC LIMIT 1)

-- name: commit_season --
WITH well AS (
    DELETE FROM ailing WHERE season_id = %(season)s
)
UPDATE partition SET fence = %(fence)s, committed_at = clock_timestamp()
WHERE ctid = (SELECT ctid FROM partition WHERE id >= %(partition)s AND id <= %(partition)s ORDER BY id DESC LIMIT 1)

-- name: set_aside --
-- A season that Redis refuses; the next try comes after twice the time of the last, at most five minutes.
INSERT INTO ailing AS a (season_id, partition, reason, retry_at)
VALUES (%(season)s, %(partition)s, %(reason)s, now() + interval '1 second')
ON CONFLICT (season_id) DO UPDATE
SET reason = excluded.reason, tries = a.tries + 1,
    retry_at = now() + least(interval '5 minutes', interval '1 second' * 2 ^ least(a.tries, 20))

-- name: ailing_due --
SELECT season_id, partition FROM ailing WHERE retry_at <= now() ORDER BY retry_at LIMIT 100

-- name: ailing --
SELECT season_id, partition, reason, tries, since, retry_at FROM ailing ORDER BY season_id

-- name: advance_fence --
-- Draw a fence above `floor`, also when the sequence has fallen behind it (PostgreSQL lost history). The sequence is
-- set only then: a setval below what others have drawn meanwhile would hand out numbers twice.
SELECT CASE WHEN drawn > %(floor)s::bigint THEN drawn ELSE setval('fence', %(floor)s::bigint + 1) END
FROM (SELECT nextval('fence') AS drawn OFFSET 0) AS d

-- name: draw_fence --
SELECT nextval('fence')

-- name: last_fence --
SELECT last_value FROM fence

-- name: partition_fences --
SELECT p.id, p.fence, p.identity FROM generate_series(0, %(partitions)s - 1) AS n
CROSS JOIN LATERAL (
    SELECT id, fence, identity FROM partition
    WHERE id >= n::smallint AND id <= n::smallint ORDER BY id DESC LIMIT 1
) AS p
ORDER BY p.id

-- name: partition_seasons --
SELECT season_id, period_id FROM season WHERE partition = %(partition)s ORDER BY season_id

-- name: season_rows --
-- Inside COPY … TO STDOUT (FORMAT binary): the rows of one period. In the order of the board from its end, each is inserted
-- in front of all others, where a sorted set finds its place at once.
SELECT user_id, score, reached FROM score WHERE period_id = {period} ORDER BY score, reached DESC

-- name: status --
SELECT p.id, p.fence, p.identity, p.committed_at, p.rebuilt_at,
       coalesce(o.pending, 0) AS pending,
       coalesce(extract(epoch FROM clock_timestamp() - o.oldest)::float8, 0) AS oldest_s,
       coalesce(s.seasons, 0) AS seasons
FROM partition p
LEFT JOIN (SELECT partition, count(*) AS pending, min(queued_at) AS oldest FROM outbox GROUP BY partition) o ON o.partition = p.id
LEFT JOIN (SELECT partition, count(*) AS seasons FROM season GROUP BY partition) s ON s.partition = p.id
ORDER BY p.id

-- name: unsettled_users --
-- Players of a period whose hints no relay has taken yet; a null means the period itself.
SELECT DISTINCT user_id FROM outbox WHERE partition = %(partition)s AND period_id = %(period)s

-- name: sample_seasons --
-- The next seasons by name; `size` is exact up to 2,000 players, 2,001 stands for more.
SELECT s.season_id, s.partition, s.period_id,
       (SELECT count(*) FROM (SELECT FROM score r WHERE r.period_id = s.period_id LIMIT 2001) AS counted) AS size
FROM season s WHERE s.season_id > %(after)s ORDER BY s.season_id LIMIT %(limit)s

-- name: sample_players --
-- Named players, and the next ones by name after one of them, so that those missing in Redis are met, too.
(SELECT user_id, score, reached FROM score WHERE period_id = %(period)s AND user_id = ANY (%(users)s))
UNION
(SELECT user_id, score, reached FROM score WHERE period_id = %(period)s AND user_id > %(after)s ORDER BY user_id LIMIT 8)

-- name: count_players --
SELECT count(*) FROM score WHERE period_id = %(period)s

-- name: season_now --
SELECT s.period_id, EXISTS (SELECT FROM ailing a WHERE a.season_id = s.season_id) FROM season s
WHERE s.season_id = %(season)s

-- name: ended_periods --
SELECT period_id FROM period WHERE ended_at IS NOT NULL ORDER BY period_id LIMIT 100

-- name: collect_scores --
-- A bounded bite out of an ended period. Returns by its row count how many rows went.
DELETE FROM score WHERE ctid = ANY (ARRAY(
    SELECT s.ctid FROM score s WHERE s.period_id = %(period)s LIMIT %(limit)s))

-- name: collect_period --
DELETE FROM period WHERE period_id = %(period)s AND ended_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM score s WHERE s.period_id = %(period)s)

-- name: forget_keys --
-- A bounded bite out of the idempotency keys older than the retention.
DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
    SELECT k.ctid FROM idempotency k
    WHERE k.accepted_at < now() - make_interval(mins => %(minutes)s)
    ORDER BY k.accepted_at LIMIT %(limit)s))

-- name: forget_traces --
-- A bounded bite out of the traces that no relay has asked for within an hour: relays that trace nothing leave them.
DELETE FROM trace WHERE ctid = ANY (ARRAY(
    SELECT t.ctid FROM trace t
    WHERE t.queued_at < now() - interval '1 hour'
    ORDER BY t.queued_at LIMIT %(limit)s))

-- name: ledger_drop --
-- The oldest day, if it ended more than `days` days ago; 1 if it went. One at a time: a drop locks the whole ledger.
SELECT coalesce((
    SELECT ledger_drop(greatest(%(days)s::integer, (now() AT TIME ZONE 'UTC')::date - d.oldest - 1))
    FROM (
        SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) AS oldest
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'ledger'::regclass AND c.relname ~ '^ledger_[0-9]{8}$'
    ) AS d
    WHERE d.oldest < (now() AT TIME ZONE 'UTC')::date - %(days)s::integer
), 0)

-- name: ledger_sweep --
-- A bounded bite out of the rows past their days that no day was ever made for: nobody prepared it in time.
DELETE FROM ledger_default WHERE ctid = ANY (ARRAY(
    SELECT l.ctid FROM ledger_default l
    WHERE l.accepted_at < ((now() AT TIME ZONE 'UTC')::date - %(days)s::integer) AT TIME ZONE 'UTC' LIMIT %(limit)s))

-- name: ledger_hold --
-- Before `ledger_prepare`, in its transaction: rows that arrive in the default partition while a day's rows move out of it
-- would make it impossible to attach that day. Nobody writes there otherwise, so nobody waits.
LOCK TABLE ledger_default IN SHARE ROW EXCLUSIVE MODE

-- name: ledger_prepare --
SELECT ledger_prepare(%(ahead)s)

-- name: try_janitor --
SELECT pg_try_advisory_lock(hashtextextended('leaderboard janitor ' || current_schema(), 0))

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

-- name: others_connected --
-- Processes of the leaderboard that are connected, other than commands.
SELECT application_name, count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user
  AND starts_with(application_name, 'leaderboard-') AND application_name <> 'leaderboard-ctl'
GROUP BY 1 ORDER BY 1

-- name: tables_of_schema --
SELECT current_schema(), (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p'))

-- name: drops_of_schema --
-- Statements that empty the current schema without dropping it: its owner may not be allowed to create one. Tables
-- go first, and take with them what is theirs.
SELECT statement FROM (
    SELECT 1 AS turn, 'DROP TABLE IF EXISTS ' || oid::regclass || ' CASCADE' AS statement
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    UNION ALL
    SELECT 2, 'DROP SEQUENCE IF EXISTS ' || oid::regclass || ' CASCADE'
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'S'
    UNION ALL
    SELECT 3, 'DROP ROUTINE IF EXISTS ' || oid::regprocedure || ' CASCADE'
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
) AS drops ORDER BY turn

-- name: doctor_settings --
SELECT name, setting FROM pg_settings WHERE name = ANY (%(names)s)

-- name: doctor_state --
-- Clock, share of connections in use, longest transaction of anybody in seconds, whether this is a standby.
SELECT extract(epoch FROM clock_timestamp())::float8 AS clock,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::float8
           / current_setting('max_connections')::float8 AS used,
       coalesce((SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
                 WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'), 0)::float8 AS longest_s,
       pg_is_in_recovery() AS standby

-- name: doctor_buffers --
-- Bytes of PostgreSQL's own memory for pages, and of what every submission reads: scores with their index.
SELECT pg_size_bytes(current_setting('shared_buffers')) AS buffers,
       pg_total_relation_size('score') AS scores

-- name: doctor_pools --
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = 'leaderboard-relay'

-- name: season_names --
SELECT season_id FROM season
