-- Profiles of players. A change leaves a hint of the period 0; one of the attributes a second one, of the period -1: only these
-- move players between boards of segments.

-- name: profile --
SELECT display_name, attributes, revision FROM player WHERE partition = %(partition)s AND user_id = %(user)s

-- name: lock_profile --
SELECT display_name, attributes, revision FROM player WHERE partition = %(partition)s AND user_id = %(user)s FOR UPDATE

-- name: add_profile --
-- No row: another transaction has added it.
WITH added AS (
    INSERT INTO player (partition, user_id, display_name, attributes, revision)
    VALUES (%(partition)s, %(user)s, %(name)s, %(attributes)s, nextval('profile_revision'))
    ON CONFLICT (partition, user_id) DO NOTHING
    RETURNING partition, user_id, revision
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id)
    SELECT partition, 0, user_id FROM added
    UNION ALL SELECT partition, -1, user_id FROM added WHERE %(attributes)s::text <> '{}'
)
SELECT revision FROM added

-- name: change_profile --
-- After `lock_profile`, in its transaction.
WITH held AS (
    SELECT attributes FROM player WHERE partition = %(partition)s AND user_id = %(user)s
), changed AS (
    UPDATE player SET display_name = %(name)s, attributes = %(attributes)s, revision = nextval('profile_revision'),
                      changed_at = now()
    WHERE partition = %(partition)s AND user_id = %(user)s
    RETURNING partition, user_id, revision
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id)
    SELECT partition, 0, user_id FROM changed
    UNION ALL SELECT partition, -1, user_id FROM changed, held WHERE held.attributes <> %(attributes)s::text
)
SELECT revision FROM changed

-- name: remove_profile --
WITH removed AS (
    DELETE FROM player WHERE partition = %(partition)s AND user_id = %(user)s RETURNING partition, user_id, attributes
)
INSERT INTO outbox (partition, period_id, user_id)
SELECT partition, 0, user_id FROM removed
UNION ALL SELECT partition, -1, user_id FROM removed WHERE attributes <> '{}'

-- name: has_profiles --
SELECT EXISTS (SELECT FROM player) AS found

-- name: shown_profiles --
-- The profiles of these players as Redis holds them; an empty text for a player who has none.
SELECT u.user_id, coalesce(shown_profile(p.display_name, p.attributes), '') AS shown
FROM unnest(%(users)s::text[]) AS u (user_id)
LEFT JOIN player p ON p.partition = %(partition)s AND p.user_id = u.user_id

-- name: partition_profiles --
-- A page of a partition's profiles, by player.
SELECT user_id, shown_profile(display_name, attributes) AS shown FROM player
WHERE partition = %(partition)s AND user_id > %(after)s ORDER BY user_id LIMIT %(limit)s

-- name: sample_profiles --
-- The named players' profiles, and the next eight by player after one of them: those may be missing in Redis.
(SELECT user_id, shown_profile(display_name, attributes) AS shown FROM player
 WHERE partition = %(partition)s AND user_id = ANY (%(users)s))
UNION
(SELECT user_id, shown_profile(display_name, attributes) AS shown FROM player
 WHERE partition = %(partition)s AND user_id > %(after)s ORDER BY user_id LIMIT 8)

-- name: count_profiles --
-- Their number, exact up to a limit; null: no limit.
SELECT count(*) AS profiles FROM (SELECT FROM player WHERE partition = %(partition)s LIMIT %(most)s::bigint) AS counted
