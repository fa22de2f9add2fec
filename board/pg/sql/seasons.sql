-- Seasons: create, define, list, lock and reset.

-- name: create_seasons --
-- Create the seasons that do not exist, each with its first period. Of two concurrent callers one creates the season; the
-- other one's period is never used. Returns those that exist, and whether they need `submit_by_rule`.
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
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, NULL FROM made
)
SELECT season_id, ruled FROM season WHERE season_id = ANY (%(seasons)s::text[])

-- name: find_defined_seasons --
-- Those that were defined, and whether they need `submit_by_rule`.
SELECT season_id, ruled FROM season WHERE season_id = ANY (%(seasons)s::text[]) AND revision > 0

-- name: lock_season --
SELECT partition, period_id, revision, fold, columns FROM season WHERE season_id = %(season)s FOR UPDATE

-- name: definition --
-- After `lock_season`: a statement that has waited for the lock shows an older state of every other table.
SELECT definition FROM season_definition WHERE season_id = %(season)s

-- name: season_has_rows --
-- In the transaction of `lock_season`: whether the period has a submission.
SELECT EXISTS (SELECT FROM score WHERE period_id = %(period)s)

-- name: drop_period --
-- In the transaction of `lock_season`: delete the current period, which has no submission, so that `begin_period` can put
-- one of another fold, or with other columns, in its place.
DELETE FROM period WHERE period_id = %(period)s RETURNING number, started_at

-- name: begin_period --
-- After `drop_period`. Returns the new period.
WITH made AS (
    INSERT INTO period (period_id, season_id, number, started_at, columns) OVERRIDING SYSTEM VALUE
    VALUES (nextval(pg_get_serial_sequence('period', 'period_id')) + (%(fold)s::bigint << 56),
            %(season)s, %(number)s, %(started_at)s, %(columns)s)
    RETURNING season_id, period_id
), begun AS (
    UPDATE season s SET period_id = made.period_id, fold = %(fold)s, columns = %(columns)s, numbered = made.period_id
    FROM made WHERE s.season_id = made.season_id
    RETURNING s.partition, s.period_id
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, NULL FROM begun
)
SELECT period_id FROM begun

-- name: define_season --
-- In the transaction of `lock_season`. A plain season needs `submit_by_rule` only for a time of opening that is to come, and
-- for a period that began under another rule.
WITH written AS (
    INSERT INTO season_definition AS d (season_id, definition) VALUES (%(season)s, %(definition)s)
    ON CONFLICT (season_id) DO UPDATE SET definition = excluded.definition, changed_at = now()
), hinted AS (
    -- The board has to know of another ranking, and whether its periods are numbered.
    INSERT INTO outbox (partition, period_id, user_id)
    SELECT partition, period_id, NULL FROM season WHERE season_id = %(season)s
      AND (ranking <> %(ranking)s OR (period_number IS NOT NULL) <> %(scheduled)s)
), loaded AS (
    -- Boards of other segments are loaded whole, and batches leave the season out until then. Readers see the board as it is.
    INSERT INTO ailing AS a (season_id, partition, reason, retry_at)
    SELECT season_id, partition, 'its segments are loaded', now() FROM season
    WHERE season_id = %(season)s AND segments IS DISTINCT FROM %(segments)s::text
    ON CONFLICT (season_id) DO UPDATE SET retry_at = now()
), seen AS (
    -- Workers read the public seasons anew, with the keys. The definition is the one before this statement.
    UPDATE access SET version = version + 1
    WHERE %(is_public)s <> coalesce(
        (SELECT definition::json ->> 'visibility' = 'public' FROM season_definition WHERE season_id = %(season)s), false)
)
UPDATE season SET ranking = %(ranking)s, revision = revision + 1,
    ruled = %(ruled)s OR fold <> 0 OR coalesce(%(opens_at)s::timestamptz > clock_timestamp(), false),
    feeds = nullif(%(feeds)s::text[], '{}'), segments = %(segments)s::text,
    low = %(low)s, high = %(high)s, opens_at = %(opens_at)s, ends_at = %(ends_at)s, closed = %(closed)s,
    period_number = CASE WHEN %(scheduled)s THEN (SELECT p.number FROM period p WHERE p.period_id = season.period_id) END,
    numbered = period_id
WHERE season_id = %(season)s

-- name: season --
SELECT season_id, revision, definition, number, started_at, ends_at, state, full_segments, period_id FROM (
    SELECT s.season_id, s.period_id, s.revision, d.definition, p.number, p.started_at, coalesce(p.ends_at, s.ends_at) AS ends_at,
           CASE
               WHEN p.final_at IS NOT NULL THEN 'final'
               WHEN p.closes_at <= now() THEN 'closed'
               WHEN p.ends_at IS NOT NULL OR s.ends_at <= now() THEN 'closing'
               WHEN s.opens_at > now() THEN 'upcoming'
               ELSE 'open'
           END AS state,
           CASE WHEN s.segments IS NOT NULL THEN ARRAY(
               SELECT v.attribute FROM segment_value v
               WHERE v.period_id = s.period_id AND v.value = '' AND v.attribute = ANY (string_to_array(s.segments, ','))
               ORDER BY v.attribute
           ) END AS full_segments
    FROM season s JOIN period p ON p.period_id = s.period_id
    LEFT JOIN season_definition d ON d.season_id = s.season_id
) AS q
WHERE season_id = %(season)s

-- name: seasons --
-- The next seasons by name, their period in this state, or in any (null).
SELECT season_id, revision, definition, number, started_at, ends_at, state, full_segments, period_id FROM (
    SELECT s.season_id, s.period_id, s.revision, d.definition, p.number, p.started_at, coalesce(p.ends_at, s.ends_at) AS ends_at,
           CASE
               WHEN p.final_at IS NOT NULL THEN 'final'
               WHEN p.closes_at <= now() THEN 'closed'
               WHEN p.ends_at IS NOT NULL OR s.ends_at <= now() THEN 'closing'
               WHEN s.opens_at > now() THEN 'upcoming'
               ELSE 'open'
           END AS state,
           CASE WHEN s.segments IS NOT NULL THEN ARRAY(
               SELECT v.attribute FROM segment_value v
               WHERE v.period_id = s.period_id AND v.value = '' AND v.attribute = ANY (string_to_array(s.segments, ','))
               ORDER BY v.attribute
           ) END AS full_segments
    FROM season s JOIN period p ON p.period_id = s.period_id
    LEFT JOIN season_definition d ON d.season_id = s.season_id
) AS q
WHERE season_id > %(after)s AND (%(state)s::text IS NULL OR state = %(state)s::text)
ORDER BY season_id LIMIT %(limit)s

-- name: reset_season --
-- In the transaction of `lock_season`: end the old period, begin a new one of the same fold, leave a hint. Returns the new
-- period.
WITH ended AS (
    -- Standings, of a period that had ended, are deleted first.
    UPDATE period SET ended_at = CASE WHEN ends_at IS NULL THEN clock_timestamp() END,
        expired_at = CASE WHEN ends_at IS NOT NULL THEN clock_timestamp() END
    WHERE period_id = %(period)s RETURNING season_id, number, period_id, columns
), next AS (
    INSERT INTO period (period_id, season_id, number, columns, ends_at, closes_at) OVERRIDING SYSTEM VALUE
    SELECT nextval(pg_get_serial_sequence('period', 'period_id')) + (e.period_id >> 56 << 56), e.season_id, e.number + 1,
           e.columns,
           -- After the last end, the new one has ended, too.
           CASE WHEN s.closed THEN s.ends_at END, CASE WHEN s.closed THEN clock_timestamp() END
    FROM ended e JOIN season s ON s.season_id = e.season_id RETURNING season_id, number, period_id
), turned AS (
    UPDATE season s SET period_id = next.period_id, numbered = next.period_id,
        period_number = CASE WHEN s.period_number IS NOT NULL THEN next.number END
    FROM next WHERE s.season_id = next.season_id
    RETURNING s.partition, s.period_id
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, NULL FROM turned
)
SELECT period_id FROM turned
