-- Corrections: which submissions, what becomes of the rows, and the boards before and after.

-- name: correction_season --
-- A season's bounds, ranking and partition, and its periods that are kept. `is_complete`: the ledger has all of the period.
-- `kind`: 'live' where the rows of `score` are what reads show, 'final' where the standings are.
WITH oldest AS (
    SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'ledger'::regclass AND c.relname ~ '^ledger_[0-9]{8}$'
)
SELECT s.low, s.high, s.ranking, s.partition, p.period_id, p.number, p.columns,
       CASE WHEN p.final_at IS NULL THEN 'live' ELSE 'final' END AS kind, p.ends_at IS NOT NULL AS has_ended,
       p.period_id = s.period_id AS is_current, (p.started_at AT TIME ZONE 'UTC')::date AS since,
       coalesce((p.started_at AT TIME ZONE 'UTC')::date >= o.day, false) AS is_complete
FROM season s CROSS JOIN oldest o
LEFT JOIN period p ON p.season_id = s.season_id AND p.ended_at IS NULL AND p.expired_at IS NULL
WHERE s.season_id = %(season)s ORDER BY p.number

-- name: correction_origins --
-- The origins of a key, of a client's version, or of both. Null: any.
SELECT id FROM origin WHERE (%(key)s::text IS NULL OR key_id = %(key)s::text)
  AND (%(version)s::text IS NULL OR client_version = %(version)s::text)

-- name: ledger_between --
-- At most `most` submissions between two places of a part of the ledger. No part: it was dropped meanwhile.
SELECT r.place::text, r.period_id, r.user_id, r.submission, r.delta, r.at, r.run
FROM (SELECT to_regclass(quote_ident(%(part)s)) AS part) AS q
CROSS JOIN LATERAL ledger_between(
    q.part, %(periods)s::bigint[], %(players)s::text[], %(origins)s::integer[], %(since)s::timestamptz,
    %(until)s::timestamptz, %(low)s::tid, %(high)s::tid, %(most)s) AS r
WHERE q.part IS NOT NULL ORDER BY r.place

-- name: verdicts_in_force --
-- What corrections in force say about submissions of these players. `value` is null for a void.
SELECT i.user_id, i.submission, i.correction, CASE WHEN c.action = 'set' THEN c.value END AS value
FROM correction_item i JOIN correction c ON c.number = i.correction
WHERE i.period_id = %(period)s AND i.user_id = ANY (%(users)s::text[]) AND c.in_force

-- name: rows_to_correct --
-- The rows of these players as reads show them, scores as they are compared (the higher the better). `version` changes with
-- each write of the row.
SELECT s.user_id, s.score, s.reached & 9223372036854775807 AS reached, columns_of(s.period_id, s.columns) AS columns,
       s.submissions, s.previous_reached, s.xmin::text || s.ctid::text AS version
FROM score s WHERE NOT %(is_final)s AND s.period_id = %(period)s AND s.user_id = ANY (%(users)s::text[])
UNION ALL
SELECT t.user_id, CASE WHEN t.period_id >> 56 & 1 = 1 THEN ~t.score ELSE t.score END, t.reached, t.columns,
       s.submissions, s.previous_reached, t.xmin::text || t.ctid::text
FROM standing t LEFT JOIN score s ON s.period_id = t.period_id AND s.user_id = t.user_id
WHERE %(is_final)s AND t.period_id = %(period)s AND t.user_id = ANY (%(users)s::text[])

-- name: lock_rows_to_correct --
-- In the order in which submissions lock them.
SELECT FROM score WHERE period_id = %(period)s AND user_id = ANY (%(users)s::text[])
ORDER BY period_id, user_id FOR UPDATE

-- name: hidden_players --
-- Those of these players whom the board of a period does not show.
SELECT x.user_id FROM restriction x WHERE x.user_id = ANY (%(users)s::text[])
AND (x.away IS NULL OR (SELECT p.season_id FROM period p WHERE p.period_id = %(period)s) = ANY (x.away))

-- name: places_among_rows --
-- Of each of these rows, how many rows of the board are better, and how many are ahead. One look at all rows; those with an
-- equal score are compared as a whole.
WITH edge AS MATERIALIZED (
    SELECT nth, score, coalesce(columns, '') AS columns, reached, user_id
    FROM unnest(%(scores)s::bigint[], %(columns)s::bytea[], %(reached)s::bigint[], %(users)s::text[])
        WITH ORDINALITY AS u (score, columns, reached, user_id, nth)
), step AS MATERIALIZED (
    SELECT array_agg(DISTINCT score ORDER BY score) AS scores FROM edge
), board AS MATERIALIZED (
    SELECT user_id, score, coalesce(columns_of(period_id, columns), '') AS columns, reached & 9223372036854775807 AS reached
    FROM shown_score WHERE NOT %(is_final)s AND period_id = %(period)s AND score >= (SELECT min(score) FROM edge)
    UNION ALL
    SELECT user_id, CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END, coalesce(columns, ''), reached
    FROM standing WHERE %(is_final)s AND period_id = %(period)s
     AND NOT EXISTS (SELECT FROM unnest(hidden_positions(%(period)s)) AS u (position) WHERE u.position = standing.position)
), counted AS MATERIALIZED (
    SELECT width_bucket(b.score, s.scores) AS bucket, count(*) AS players FROM board b CROSS JOIN step s GROUP BY 1
), tied AS MATERIALIZED (
    SELECT e.nth, count(*) AS equal, count(*) FILTER (WHERE b.columns > e.columns) AS better,
           count(*) FILTER (WHERE b.columns > e.columns
               OR (b.columns = e.columns AND (b.reached, b.user_id) < (e.reached, e.user_id))) AS ahead
    FROM edge e JOIN board b ON b.score = e.score GROUP BY e.nth
)
SELECT q.above - coalesce(t.equal, 0) + coalesce(t.better, 0) AS better, q.above - coalesce(t.equal, 0) + coalesce(t.ahead, 0) AS ahead
FROM (
    SELECT e.nth, coalesce((
        SELECT sum(c.players) FROM counted c WHERE c.bucket >= width_bucket(e.score, s.scores)), 0)::bigint AS above
    FROM edge e CROSS JOIN step s
) AS q LEFT JOIN tied t ON t.nth = q.nth ORDER BY q.nth

-- name: create_correction --
WITH named AS (
    INSERT INTO player_number AS n (user_id) SELECT u.user_id FROM (SELECT %(user)s::text AS user_id) AS u
    WHERE u.user_id IS NOT NULL
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
    RETURNING number
)
INSERT INTO correction (season_id, reason, filter, player, action, value, affected)
VALUES (%(season)s, %(reason)s, %(filter)s, (SELECT number FROM named), %(action)s, %(value)s, %(affected)s)
RETURNING number

-- name: list_correction_items --
-- Add submissions to a correction.
INSERT INTO correction_item (correction, period_id, user_id, submission, value)
SELECT %(number)s, u.period_id, u.user_id, u.submission, u.value
FROM unnest(%(periods)s::bigint[], %(users)s::text[], %(submissions)s::bigint[], %(values)s::bigint[])
    AS u (period_id, user_id, submission, value)

-- name: correction --
-- A correction, or the next ones below a number, the latest first. It is shown once no relay has its hints to carry any more.
SELECT c.number, c.season_id, c.reason, c.filter, n.user_id, c.action, c.value, c.affected, c.state, c.problem, c.looked, c.blocks,
       c.asked_at, c.applied_at, c.undone_at,
       c.xid IS NULL OR NOT (
           EXISTS (SELECT FROM outbox o WHERE o.partition = c.partition AND o.xid = c.xid)
           OR EXISTS (SELECT FROM ailing a WHERE a.season_id = c.season_id)) AS is_shown,
       ARRAY(SELECT json_build_object('userId', r.user_id, 'period', p.number)::text
             FROM correction_row r JOIN period p ON p.period_id = r.period_id
             WHERE r.correction = c.number AND r.changed AND c.state = 'undone'
             ORDER BY p.number, r.user_id LIMIT 100) AS changed
FROM correction c LEFT JOIN player_number n ON n.number = c.player
WHERE (%(number)s::bigint IS NULL OR c.number = %(number)s::bigint) AND c.number < %(below)s
  AND (%(season)s::text IS NULL OR c.season_id = %(season)s::text)
ORDER BY c.number DESC LIMIT %(limit)s

-- name: lock_correction --
SELECT season_id, state FROM correction WHERE number = %(number)s FOR UPDATE

-- name: ask_to_undo --
-- After `lock_correction`. One that was not applied yet is withdrawn.
UPDATE correction SET undo_asked_at = clock_timestamp(), looked = 0, blocks = 0, problem = NULL,
    state = CASE WHEN state = 'applied' THEN 'undoing' ELSE 'undone' END,
    undone_at = CASE WHEN state = 'pending' THEN clock_timestamp() END
WHERE number = %(number)s RETURNING state

-- name: open_corrections --
SELECT number, season_id, action, value, state FROM correction WHERE state IN ('pending', 'undoing') ORDER BY number LIMIT 100

-- name: correction_items --
SELECT period_id, user_id, submission, value FROM correction_item WHERE correction = %(number)s

-- name: note_correction_progress --
UPDATE correction SET looked = %(looked)s, blocks = %(blocks)s WHERE number = %(number)s

-- name: refuse_correction --
-- An undoing that cannot be done leaves the correction as it is.
UPDATE correction SET problem = %(problem)s, state = CASE WHEN state = 'undoing' THEN 'applied' ELSE 'refused' END
WHERE number = %(number)s AND state IN ('pending', 'undoing')

-- name: hold_season_to_correct --
-- No period of the season ends meanwhile; submissions go on.
SELECT FROM season WHERE season_id = %(season)s FOR KEY SHARE

-- name: hold_periods_to_correct --
-- Late submissions, and erasures, come before or after.
SELECT FROM period WHERE period_id = ANY (%(periods)s::bigint[]) ORDER BY period_id FOR NO KEY UPDATE

-- name: keep_images --
-- Rows as they are before a correction.
-- PERF: a look-up by key for each row, here and below. Joins would go by statistics, which do not know of new rows.
INSERT INTO correction_row (correction, period_id, user_id, before, after)
SELECT %(number)s, %(period)s, i.user_id, i.image, i.image FROM (
    SELECT u.user_id, jsonb_build_object(
        'score', (SELECT to_jsonb(s) FROM score s
                  WHERE s.period_id = %(period)s AND s.user_id = u.user_id AND %(has_rows)s),
        'standing', (SELECT to_jsonb(t) - 'position' - 'shared' FROM standing t
                     WHERE t.period_id = %(period)s AND t.user_id = u.user_id AND %(is_final)s),
        'metadata', (SELECT to_jsonb(m) FROM run_metadata m WHERE m.period_id = %(period)s AND m.user_id = u.user_id)
    ) AS image
    FROM unnest(%(users)s::text[]) AS u (user_id)
    OFFSET 0
) AS i ORDER BY i.user_id

-- name: keep_new_images --
UPDATE correction_row r SET after = jsonb_build_object(
    'score', (SELECT to_jsonb(s) FROM score s
              WHERE s.period_id = r.period_id AND s.user_id = r.user_id AND %(has_rows)s),
    'standing', (SELECT to_jsonb(t) - 'position' - 'shared' FROM standing t
                 WHERE t.period_id = r.period_id AND t.user_id = r.user_id AND %(is_final)s),
    'metadata', (SELECT to_jsonb(m) FROM run_metadata m WHERE m.period_id = r.period_id AND m.user_id = r.user_id))
WHERE r.correction = %(number)s AND r.period_id = %(period)s

-- name: images_as_left --
-- Players whose rows are as the correction left them, with no other correction applied or undone on them since. The columns
-- of the run before, and what else only the statement of a submission reads, is not compared.
SELECT q.user_id FROM (
    SELECT r.user_id, r.period_id, jsonb_populate_record(NULL::score, nullif(r.after -> 'score', 'null')) AS left_row,
           (SELECT s FROM score s WHERE s.period_id = r.period_id AND s.user_id = r.user_id AND %(has_rows)s) AS row,
           standing_of_image(r.after) AS left_standing,
           (SELECT to_jsonb(t) - 'position' - 'shared' FROM standing t
            WHERE t.period_id = r.period_id AND t.user_id = r.user_id AND %(is_final)s) AS standing,
           (SELECT count(*) FROM correction_row o JOIN correction d ON d.number = o.correction
            WHERE o.period_id = r.period_id AND o.user_id = r.user_id AND o.correction <> r.correction
              AND d.act > (SELECT c.act FROM correction c WHERE c.number = %(number)s)) AS others
    FROM correction_row r WHERE r.correction = %(number)s AND r.period_id = %(period)s
    OFFSET 0
) AS q
WHERE q.others = 0
  AND (NOT %(has_rows)s
       OR ((q.left_row).score, (q.left_row).reached, columns_of(q.period_id, (q.left_row).columns),
           CASE WHEN q.period_id >> 57 & 3 = 2 THEN (q.left_row).submissions END)
          IS NOT DISTINCT FROM ((q.row).score, (q.row).reached, columns_of(q.period_id, (q.row).columns),
           CASE WHEN q.period_id >> 57 & 3 = 2 THEN (q.row).submissions END))
  AND (NOT %(is_final)s OR q.left_standing IS NOT DISTINCT FROM q.standing)

-- name: restore_rows --
-- Rows of `score` as they were before the correction. The row count is the number of those that had one.
WITH image AS MATERIALIZED (
    SELECT r.user_id, jsonb_populate_record(NULL::score, nullif(r.before -> 'score', 'null')) AS row FROM correction_row r
    WHERE r.correction = %(number)s AND r.period_id = %(period)s AND r.user_id = ANY (%(users)s::text[])
), gone AS (
    DELETE FROM score s USING image i WHERE s.period_id = %(period)s AND s.user_id = i.user_id AND (i.row).user_id IS NULL
)
INSERT INTO score AS s SELECT (i.row).* FROM image i WHERE (i.row).user_id IS NOT NULL ORDER BY i.user_id
ON CONFLICT (period_id, user_id) DO UPDATE SET score = excluded.score, reached = excluded.reached,
    submissions = excluded.submissions, previous = excluded.previous, previous_reached = excluded.previous_reached,
    columns = excluded.columns

-- name: restore_metadata --
WITH image AS MATERIALIZED (
    SELECT r.user_id, jsonb_populate_record(NULL::run_metadata, nullif(r.before -> 'metadata', 'null')) AS row
    FROM correction_row r
    WHERE r.correction = %(number)s AND r.period_id = %(period)s AND r.user_id = ANY (%(users)s::text[])
), gone AS (
    DELETE FROM run_metadata m USING image i
    WHERE m.period_id = %(period)s AND m.user_id = i.user_id AND (i.row).user_id IS NULL
)
INSERT INTO run_metadata AS m SELECT (i.row).* FROM image i WHERE (i.row).user_id IS NOT NULL ORDER BY i.user_id
ON CONFLICT (period_id, user_id) DO UPDATE SET reached = excluded.reached, metadata = excluded.metadata

-- name: restore_standings --
-- After `drop_standings`: standings as they were before the correction; `renumber_standings` gives them their positions.
INSERT INTO standing (period_id, position, user_id, score, reached, columns, shared)
SELECT %(period)s, -row_number() OVER (ORDER BY r.user_id), (q.row).user_id, (q.row).score, (q.row).reached, (q.row).columns, 0
FROM correction_row r
CROSS JOIN LATERAL (SELECT jsonb_populate_record(NULL::standing, standing_of_image(r.before)) AS row) AS q
WHERE r.correction = %(number)s AND r.period_id = %(period)s AND r.user_id = ANY (%(users)s::text[])
  AND (q.row).user_id IS NOT NULL

-- name: note_changed_rows --
UPDATE correction_row SET changed = true
WHERE correction = %(number)s AND period_id = %(period)s AND user_id = ANY (%(users)s::text[])

-- name: write_corrected_rows --
INSERT INTO score AS s (period_id, user_id, score, reached, submissions, previous_reached, columns)
SELECT %(period)s, user_id, score, reached, submissions, previous_reached, columns
FROM unnest(%(users)s::text[], %(scores)s::bigint[], %(reached)s::bigint[], %(submissions)s::bigint[],
            %(previous_reached)s::bigint[], %(columns)s::bytea[])
    AS u (user_id, score, reached, submissions, previous_reached, columns)
ORDER BY user_id
ON CONFLICT (period_id, user_id) DO UPDATE SET score = excluded.score, reached = excluded.reached,
    submissions = excluded.submissions, previous = NULL, previous_reached = excluded.previous_reached, columns = excluded.columns

-- name: drop_corrected_rows --
DELETE FROM score WHERE period_id = %(period)s AND user_id = ANY (%(users)s::text[])

-- name: write_corrected_metadata --
INSERT INTO run_metadata AS m (period_id, user_id, reached, metadata)
SELECT %(period)s, user_id, reached, metadata
FROM unnest(%(users)s::text[], %(reached)s::bigint[], %(metadata)s::text[]) AS u (user_id, reached, metadata) ORDER BY user_id
ON CONFLICT (period_id, user_id) DO UPDATE SET reached = excluded.reached, metadata = excluded.metadata

-- name: drop_standings --
DELETE FROM standing WHERE period_id = %(period)s AND user_id = ANY (%(users)s::text[])

-- name: write_corrected_standings --
-- After `drop_standings`. Positions come with `renumber_standings`; those of `restore_standings` are negative, too.
INSERT INTO standing (period_id, position, user_id, score, reached, columns, shared)
SELECT %(period)s, -1000000000 - row_number() OVER (ORDER BY user_id), user_id, score, reached, columns, 0
FROM unnest(%(users)s::text[], %(scores)s::bigint[], %(reached)s::bigint[], %(columns)s::bytea[])
    AS u (user_id, score, reached, columns)

-- name: renumber_standings --
-- The standings in their new order, in one statement: a read sees the board before or after it.
WITH gone AS (
    DELETE FROM standing WHERE period_id = %(period)s
    RETURNING period_id, user_id, score, reached, columns, CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END AS merit
), back AS (
    -- The order makes the deletion come first.
    INSERT INTO standing (period_id, position, user_id, score, reached, columns, shared)
    SELECT period_id, row_number() OVER (ORDER BY merit DESC, columns DESC, reached, user_id), user_id, score, reached, columns,
           rank() OVER (ORDER BY merit DESC, columns DESC)
    FROM gone ORDER BY merit DESC, columns DESC, reached, user_id
)
UPDATE period SET players = (SELECT count(*) FROM gone), late = late + 1, standings_late = late + 1
WHERE period_id = %(period)s RETURNING players

-- name: tell_correction --
INSERT INTO event (history, kind, season_id, period, data)
VALUES (%(history)s, 'period.corrected', %(season)s, %(period)s, %(data)s)

-- name: hint_corrected_rows --
-- All of them are entries of one batch (`take`), so they become visible at once.
INSERT INTO outbox (partition, period_id, user_id) SELECT %(partition)s, %(period)s, u FROM unnest(%(users)s::text[]) AS u

-- name: end_correction --
-- The commit that makes it count, or not any more.
UPDATE correction SET state = CASE WHEN state = 'pending' THEN 'applied' ELSE 'undone' END, in_force = state = 'pending',
    act = nextval('correction_act'), problem = NULL, looked = blocks,
    applied_at = CASE WHEN state = 'pending' THEN clock_timestamp() ELSE applied_at END,
    undone_at = CASE WHEN state = 'undoing' THEN clock_timestamp() END,
    partition = %(partition)s, xid = pg_current_xact_id()
WHERE number = %(number)s AND state = %(state)s RETURNING number

-- name: day_before --
-- The day before this one: a submission that is not there yet has no earlier one.
SELECT (now() AT TIME ZONE 'UTC')::date - 1
