-- Segments: boards of the players who have the same value of an attribute.

-- name: segment_players --
-- After `take`, in its transaction, as a statement of its own: the segments of these players of a period, a line each. `names`
-- are those that have a board, `others` those that have none. Players without a row, or without a segment, are left out. A null
-- player: values of the attribute in `names` are beyond the number that have one.
SELECT NULL AS user_id, v.attribute AS names, NULL AS others
FROM segment_value v WHERE v.period_id = %(period)s AND v.attribute IN (%(first)s, %(second)s) AND v.value = ''
UNION ALL
SELECT h.user_id,
       concat_ws(E'\n', CASE WHEN h.is_first THEN %(first)s || ':' || h.first END, CASE WHEN h.is_second THEN %(second)s || ':' || h.second END),
       concat_ws(E'\n', CASE WHEN NOT h.is_first THEN %(first)s || ':' || h.first END, CASE WHEN NOT h.is_second THEN %(second)s || ':' || h.second END)
FROM (
    SELECT u.user_id, v.first, v.second,
           EXISTS (SELECT FROM segment_value b WHERE b.period_id = %(period)s AND b.attribute = %(first)s AND b.value = v.first) AS is_first,
           EXISTS (SELECT FROM segment_value b WHERE b.period_id = %(period)s AND b.attribute = %(second)s AND b.value = v.second) AS is_second
    FROM unnest(%(users)s::text[]) AS u (user_id)
    JOIN player p ON p.user_id = u.user_id
    CROSS JOIN LATERAL (SELECT p.attributes::json AS held OFFSET 0) AS a
    CROSS JOIN LATERAL (SELECT a.held ->> %(first)s::text AS first, a.held ->> %(second)s::text AS second OFFSET 0) AS v
    WHERE (v.first IS NOT NULL OR v.second IS NOT NULL)
      AND EXISTS (SELECT FROM shown_score r WHERE r.period_id = %(period)s AND r.user_id = u.user_id)
    OFFSET 0
) AS h

-- name: add_segment_values --
-- Give these values boards, as many as the attribute may have. Once one has got none, no further one gets a board: those who
-- have it already are not known, until the next rebuild chooses anew.
WITH wanted AS MATERIALIZED (
    SELECT u.attribute, u.value, row_number() OVER (PARTITION BY u.attribute ORDER BY u.value) AS nth,
           (SELECT count(*) FROM segment_value v WHERE v.period_id = %(period)s AND v.attribute = u.attribute AND v.value <> '') AS had,
           EXISTS (SELECT FROM segment_value v WHERE v.period_id = %(period)s AND v.attribute = u.attribute AND v.value = '') AS is_full
    FROM unnest(%(attributes)s::text[], %(values)s::text[]) AS u (attribute, value)
)
INSERT INTO segment_value (period_id, attribute, value)
SELECT %(period)s, attribute, value FROM wanted WHERE NOT is_full AND had + nth <= %(most)s
UNION
SELECT %(period)s, attribute, '' FROM wanted WHERE NOT is_full AND had + nth > %(most)s
RETURNING attribute, value

-- name: forget_segment_values --
-- Before `choose_segment_values`, in the transaction of a rebuild.
DELETE FROM segment_value WHERE period_id = %(period)s

-- name: choose_segment_values --
-- The values that have boards from now on: those with the most players. Returns them, with the number of their players, and an
-- empty value for each attribute that has more values.
WITH counted AS MATERIALIZED (
    SELECT n.attribute, n.value, count(*) AS players
    FROM shown_score r JOIN player p ON p.user_id = r.user_id
    CROSS JOIN LATERAL (SELECT p.attributes::json AS held OFFSET 0) AS a
    CROSS JOIN LATERAL (VALUES (%(first)s::text, a.held ->> %(first)s::text), (%(second)s::text, a.held ->> %(second)s::text)) AS n (attribute, value)
    WHERE r.period_id = %(period)s AND n.value IS NOT NULL
    GROUP BY 1, 2
), ranked AS MATERIALIZED (
    SELECT attribute, value, players, row_number() OVER (PARTITION BY attribute ORDER BY players DESC, value COLLATE "C") AS nth
    FROM counted
), chosen AS (
    INSERT INTO segment_value (period_id, attribute, value)
    SELECT %(period)s, attribute, CASE WHEN nth <= %(most)s THEN value ELSE '' END FROM ranked WHERE nth <= %(most)s + 1
)
SELECT attribute, CASE WHEN nth <= %(most)s THEN value ELSE '' END AS value, players FROM ranked WHERE nth <= %(most)s + 1

-- name: segment_rows --
-- The rows of a period in segments that have boards, once for each of these, inside COPY … TO STDOUT (FORMAT binary): as
-- `season_rows`, then the segment, and with the first one the names of all, a line each. In the order of the boards, last first:
-- each row is inserted before all others. A list in CASE is read once: a join would be a look-up for each row, or a walk
-- over all values.
SELECT h.user_id, h.score, h.reached, {columns} g.segment, CASE WHEN g.nth = 1 THEN h.names END
FROM (
    SELECT r.user_id, r.score, r.reached, columns_of(r.period_id, r.columns) AS columns, concat_ws(E'\n',
        CASE WHEN v.first IN (SELECT b.value FROM segment_value b WHERE b.period_id = %(period)s AND b.attribute = %(first)s) THEN %(first)s || ':' || v.first END,
        CASE WHEN v.second IN (SELECT b.value FROM segment_value b WHERE b.period_id = %(period)s AND b.attribute = %(second)s) THEN %(second)s || ':' || v.second END) AS names
    FROM shown_score r JOIN player p ON p.user_id = r.user_id
    CROSS JOIN LATERAL (SELECT p.attributes::json AS held OFFSET 0) AS a
    CROSS JOIN LATERAL (SELECT a.held ->> %(first)s::text AS first, a.held ->> %(second)s::text AS second OFFSET 0) AS v
    WHERE r.period_id = %(period)s
    OFFSET 0
) AS h CROSS JOIN LATERAL unnest(string_to_array(h.names, E'\n')) WITH ORDINALITY AS g (segment, nth)
ORDER BY g.segment COLLATE "C", h.score, h.columns, h.reached DESC

-- name: segmented_players --
-- The players of a period who are in segments that have boards, with the names of these, a line each.
SELECT h.user_id, h.names
FROM (
    SELECT r.user_id, concat_ws(E'\n',
        CASE WHEN v.first IN (SELECT b.value FROM segment_value b WHERE b.period_id = %(period)s AND b.attribute = %(first)s) THEN %(first)s || ':' || v.first END,
        CASE WHEN v.second IN (SELECT b.value FROM segment_value b WHERE b.period_id = %(period)s AND b.attribute = %(second)s) THEN %(second)s || ':' || v.second END) AS names
    FROM shown_score r JOIN player p ON p.user_id = r.user_id
    CROSS JOIN LATERAL (SELECT p.attributes::json AS held OFFSET 0) AS a
    CROSS JOIN LATERAL (SELECT a.held ->> %(first)s::text AS first, a.held ->> %(second)s::text AS second OFFSET 0) AS v
    WHERE r.period_id = %(period)s
    OFFSET 0
) AS h WHERE h.names <> ''

-- name: hint_segments --
-- After `take` has taken hints of these players' attributes, in its transaction: a hint for each of their rows in seasons with
-- segments. The statement is younger than the change of the profile. A row that it does not see yet has a hint of its own,
-- and the relay that takes it sees the profile. Returns the partitions of the hints.
WITH hinted AS (
    INSERT INTO outbox (partition, period_id, user_id)
    SELECT s.partition, s.period_id, u.user_id
    FROM (SELECT season_id, partition, period_id FROM season WHERE segments IS NOT NULL) AS s
    CROSS JOIN unnest(%(users)s::text[]) AS u (user_id)
    WHERE EXISTS (SELECT FROM score r WHERE r.period_id = s.period_id AND r.user_id = u.user_id)
    RETURNING partition
)
SELECT DISTINCT partition FROM hinted ORDER BY partition

-- name: load_segments --
-- Let relays load the segments of all seasons anew: a relay of a release that does not know them has dropped hints.
INSERT INTO ailing (season_id, partition, reason, retry_at)
SELECT season_id, partition, 'its segments are loaded', now() FROM season WHERE segments IS NOT NULL
ON CONFLICT (season_id) DO NOTHING

-- name: profiles_unsettled --
-- Players whose profiles' hints no relay has taken yet.
SELECT DISTINCT user_id FROM outbox WHERE period_id <= 0

-- name: old_segment_values --
-- Periods with values of segments that no season shows.
SELECT DISTINCT v.period_id FROM segment_value v
WHERE NOT EXISTS (SELECT FROM season s WHERE s.period_id = v.period_id AND s.segments IS NOT NULL)
LIMIT 100

-- name: collect_segment_values --
-- At most `limit` values of segments of a period.
DELETE FROM segment_value WHERE ctid = ANY (ARRAY(
    SELECT v.ctid FROM segment_value v WHERE v.period_id = %(period)s LIMIT %(limit)s))

-- name: count_segments --
-- The numbers of players of a period's segments that have boards. Values are counted before they are looked up.
SELECT c.attribute || ':' || c.value AS segment, c.players
FROM (
    SELECT n.attribute, n.value, count(*) AS players
    FROM shown_score r JOIN player p ON p.user_id = r.user_id
    CROSS JOIN LATERAL (SELECT p.attributes::json AS held OFFSET 0) AS a
    CROSS JOIN LATERAL (VALUES (%(first)s::text, a.held ->> %(first)s::text), (%(second)s::text, a.held ->> %(second)s::text)) AS n (attribute, value)
    WHERE r.period_id = %(period)s AND n.value IS NOT NULL
    GROUP BY 1, 2
    OFFSET 0
) AS c
WHERE EXISTS (SELECT FROM segment_value v WHERE v.period_id = %(period)s AND v.attribute = c.attribute AND v.value = c.value)
