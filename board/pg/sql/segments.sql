-- Segments: boards of the players who have the same value of an attribute.

-- name: segment_players --
-- After `take`, in its transaction, as a statement of its own: which segments these players of a period are in, and whether
-- the value has a board. A null player: values of this attribute are beyond the number that have one.
SELECT NULL AS user_id, v.attribute, '' AS value, true AS has_board
FROM segment_value v WHERE v.period_id = %(period)s AND v.attribute = ANY (string_to_array(%(segments)s, ',')) AND v.value = ''
UNION ALL
SELECT h.user_id, h.attribute, h.value,
       EXISTS (SELECT FROM segment_value v WHERE v.period_id = %(period)s AND v.attribute = h.attribute AND v.value = h.value)
FROM (
    SELECT p.user_id, n.attribute COLLATE "C" AS attribute, (p.attributes::json ->> n.attribute) COLLATE "C" AS value
    FROM unnest(%(users)s::text[]) AS u (user_id)
    JOIN player p ON p.user_id = u.user_id
    CROSS JOIN unnest(string_to_array(%(segments)s, ',')) AS n (attribute)
    WHERE EXISTS (SELECT FROM score r WHERE r.period_id = %(period)s AND r.user_id = u.user_id)
) AS h
WHERE h.value IS NOT NULL

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
-- The values that have boards from now on: those with the most players. Returns the attributes that have more values.
WITH counted AS MATERIALIZED (
    SELECT n.attribute, p.attributes::json ->> n.attribute AS value, count(*) AS players
    FROM score r JOIN player p ON p.user_id = r.user_id
    CROSS JOIN unnest(string_to_array(%(segments)s, ',')) AS n (attribute)
    WHERE r.period_id = %(period)s AND p.attributes::json ->> n.attribute IS NOT NULL
    GROUP BY 1, 2
), ranked AS (
    SELECT attribute, value, row_number() OVER (PARTITION BY attribute ORDER BY players DESC, value COLLATE "C") AS nth
    FROM counted
), chosen AS (
    INSERT INTO segment_value (period_id, attribute, value)
    SELECT %(period)s, attribute, CASE WHEN nth <= %(most)s THEN value ELSE '' END FROM ranked WHERE nth <= %(most)s + 1
    RETURNING attribute, value
)
SELECT attribute FROM chosen WHERE value = ''

-- name: segmented_rows --
-- The rows of a period whose players are in a segment that has a board, with the names of these segments, a line each. In
-- the order of the board, last first: each one is inserted before all others.
SELECT r.user_id, r.score, r.reached & 9223372036854775807 AS reached, columns_of(r.period_id, r.columns) AS columns, g.names
FROM score r JOIN player p ON p.user_id = r.user_id
CROSS JOIN LATERAL (
    SELECT string_agg(v.attribute || ':' || v.value, E'\n' ORDER BY n.nth) AS names
    FROM unnest(string_to_array(%(segments)s, ',')) WITH ORDINALITY AS n (attribute, nth)
    JOIN segment_value v ON v.period_id = r.period_id AND v.attribute = n.attribute AND v.value = p.attributes::json ->> n.attribute
) AS g
WHERE r.period_id = %(period)s AND g.names IS NOT NULL
ORDER BY r.score, 4, r.reached DESC

-- name: segments_of_players --
-- As `segmented_rows`, for these players: the names of their segments; none for a player without a row or a segment.
SELECT r.user_id, g.names
FROM unnest(%(users)s::text[]) AS u (user_id)
JOIN score r ON r.period_id = %(period)s AND r.user_id = u.user_id
JOIN player p ON p.user_id = u.user_id
CROSS JOIN LATERAL (
    SELECT string_agg(v.attribute || ':' || v.value, E'\n' ORDER BY n.nth) AS names
    FROM unnest(string_to_array(%(segments)s, ',')) WITH ORDINALITY AS n (attribute, nth)
    JOIN segment_value v ON v.period_id = r.period_id AND v.attribute = n.attribute AND v.value = p.attributes::json ->> n.attribute
) AS g
WHERE g.names IS NOT NULL

-- name: hint_segments --
-- After `take` has taken hints of these players' profiles, in its transaction: a hint for each of their rows in seasons with
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
SELECT DISTINCT user_id FROM outbox WHERE period_id = 0

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
-- The numbers of players of a period's segments that have boards.
SELECT v.attribute || ':' || v.value AS segment, count(*) AS players
FROM score r JOIN player p ON p.user_id = r.user_id
CROSS JOIN unnest(string_to_array(%(segments)s, ',')) AS n (attribute)
JOIN segment_value v ON v.period_id = r.period_id AND v.attribute = n.attribute AND v.value = p.attributes::json ->> n.attribute
WHERE r.period_id = %(period)s
GROUP BY v.attribute, v.value
