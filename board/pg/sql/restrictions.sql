-- Restrictions: bans, and players that are hidden.

-- name: restriction --
-- A ban counts until its end, also while its row is still there.
SELECT user_id, coalesce(ban_until <= clock_timestamp(), false) OR banned_at IS NULL AS is_free, banned_at, ban_reason, ban_seasons, ban_until,
       ban_actor, hidden_at, hidden_reason, hidden_actor
FROM restriction WHERE user_id = %(user)s

-- name: restrict --
-- The row of a player, for the following statements of the transaction. It is held until then: it may be being deleted.
INSERT INTO restriction (user_id) VALUES (%(user)s) ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id

-- name: hold_restriction --
-- As `restriction`, and nobody else changes it before the transaction has ended.
SELECT user_id, coalesce(ban_until <= clock_timestamp(), false) OR banned_at IS NULL AS is_free, banned_at, ban_reason, ban_seasons, ban_until,
       ban_actor, hidden_at, hidden_reason, hidden_actor
FROM restriction WHERE user_id = %(user)s FOR UPDATE

-- name: banned_submissions --
-- The places (from 0) of those of these submissions whose players are banned in their seasons.
SELECT i.ord - 1 AS place FROM banned_among(%(users)s::text[]) AS b
JOIN unnest(%(seasons)s::text[], %(users)s::text[]) WITH ORDINALITY AS i (season_id, user_id, ord) ON i.user_id = b.banned
WHERE b.seasons IS NULL OR i.season_id = ANY (b.seasons)

-- name: check_ban --
-- Whether the end of a ban has passed, and which of its seasons there are not.
SELECT coalesce(%(until)s::timestamptz <= clock_timestamp(), false) AS is_past, ARRAY(
    SELECT w.season_id FROM unnest(%(seasons)s::text[]) AS w (season_id)
    WHERE NOT EXISTS (SELECT FROM season s WHERE s.season_id = w.season_id) ORDER BY 1) AS missing

-- name: ban_player --
WITH counted AS (UPDATE restriction_changes SET number = number + 1)
UPDATE restriction SET revision = nextval('restriction_revision'), banned_at = clock_timestamp(), ban_reason = %(reason)s,
    ban_seasons = %(seasons)s::text[], ban_until = %(until)s::timestamptz, ban_actor = %(actor)s
WHERE user_id = %(user)s

-- name: unban_player --
WITH counted AS (UPDATE restriction_changes SET number = number + 1)
UPDATE restriction SET revision = nextval('restriction_revision'), banned_at = NULL, ban_reason = NULL, ban_seasons = NULL,
    ban_until = NULL, ban_actor = NULL
WHERE user_id = %(user)s

-- name: hide_player --
WITH counted AS (UPDATE restriction_changes SET number = number + 1)
UPDATE restriction SET revision = nextval('restriction_revision'), hidden_at = clock_timestamp(), hidden_reason = %(reason)s,
    hidden_actor = %(actor)s
WHERE user_id = %(user)s

-- name: show_player --
WITH counted AS (UPDATE restriction_changes SET number = number + 1)
UPDATE restriction SET revision = nextval('restriction_revision'), hidden_at = NULL, hidden_reason = NULL, hidden_actor = NULL
WHERE user_id = %(user)s

-- name: hint_restricted --
-- After the commit of a change, in a transaction of its own, after `hold_restriction`: so its snapshot is younger than the change,
-- and has every row that a relay may have carried without knowing of it. A hint for each row of the player in the current
-- periods. A row that it does not see is committed later, and has a hint of its own; the relay that takes that one knows of the
-- change. One also for each season whose new period may not be shown yet: Redis may still have the board of the period before,
-- with the player. Returns the partitions of the hints, their periods, and this transaction.
WITH here AS MATERIALIZED (
    SELECT s.partition, s.period_id FROM season s
    CROSS JOIN LATERAL (
        SELECT FROM score r WHERE r.period_id = s.period_id AND r.user_id = %(user)s
        ORDER BY r.period_id, r.user_id LIMIT 1
    ) AS t
    UNION
    SELECT s.partition, s.period_id FROM season s
    JOIN (SELECT DISTINCT o.period_id FROM outbox o WHERE o.user_id IS NULL) AS n ON n.period_id = s.period_id
), settled AS (
    UPDATE restriction SET hinted = revision WHERE user_id = %(user)s AND (banned_at IS NOT NULL OR hidden_at IS NOT NULL)
), gone AS (
    DELETE FROM restriction WHERE user_id = %(user)s AND banned_at IS NULL AND hidden_at IS NULL
), hinted AS (
    INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, %(user)s FROM here
)
SELECT ARRAY(SELECT DISTINCT partition FROM here) AS partitions, ARRAY(SELECT period_id FROM here) AS periods,
       pg_current_xact_id()::text AS xid

-- name: hidden_positions --
-- The positions of standings of a period that are not shown, and the number of changes that they are of.
SELECT hidden_positions(%(period)s) AS positions, number FROM restriction_changes

-- name: is_carried --
-- Whether relays have carried the hints of this transaction; and whether one of the periods has ended since, so that its hint may
-- have been dropped before the next period is shown: then hints are to be written again.
-- A season that is set aside has its hints dropped, and its board as it was, perhaps that of a period before: it is carried when
-- it has been rebuilt.
SELECT NOT EXISTS (
    SELECT FROM unnest(%(partitions)s::smallint[]) AS p (id)
    CROSS JOIN LATERAL (SELECT FROM outbox o WHERE o.partition = p.id AND o.xid = %(xid)s::xid8 LIMIT 1) AS o
) AND NOT EXISTS (
    SELECT FROM ailing a JOIN period p ON p.season_id = a.season_id
    WHERE EXISTS (SELECT FROM score r WHERE r.period_id = p.period_id AND r.user_id = %(user)s)
) AS is_carried, EXISTS (
    SELECT FROM unnest(%(periods)s::bigint[]) AS p (id) WHERE NOT EXISTS (SELECT FROM season s WHERE s.period_id = p.id)
) AS has_ended

-- name: ended_bans --
-- Players whose ban has ended, and those whose hints were not written: a process ended before.
(SELECT user_id, true AS has_ended FROM restriction
 WHERE banned_at IS NOT NULL AND ban_until <= clock_timestamp() ORDER BY ban_until LIMIT 100)
UNION ALL
(SELECT user_id, false FROM restriction WHERE hinted <> revision ORDER BY user_id LIMIT 100)

-- name: end_ban --
WITH counted AS (UPDATE restriction_changes SET number = number + 1)
UPDATE restriction SET revision = nextval('restriction_revision'), banned_at = NULL, ban_reason = NULL, ban_seasons = NULL,
    ban_until = NULL, ban_actor = NULL
WHERE ctid = ANY (ARRAY(
    SELECT x.ctid FROM restriction x
    WHERE x.user_id = %(user)s AND x.banned_at IS NOT NULL AND x.ban_until <= clock_timestamp() FOR UPDATE SKIP LOCKED))

-- name: forget_restriction --
-- Nothing restricts the player any more; the row goes with the hints, as after any change (`hint_restricted`).
WITH counted AS (
    UPDATE restriction_changes SET number = number + 1 WHERE EXISTS (SELECT FROM restriction WHERE user_id = %(user)s)
)
UPDATE restriction SET revision = nextval('restriction_revision'), banned_at = NULL, ban_reason = NULL, ban_seasons = NULL,
    ban_until = NULL, ban_actor = NULL, hidden_at = NULL, hidden_reason = NULL, hidden_actor = NULL
WHERE user_id = %(user)s
