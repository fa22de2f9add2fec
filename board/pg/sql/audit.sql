-- Audit: note an act, list acts, protect what is noted.

-- name: note_act --
INSERT INTO audit (actor_type, actor, request_id, action, target_type, target, reason, before, after)
VALUES (%(actor_type)s, %(actor)s, %(request_id)s, %(action)s, %(target_type)s, %(target)s, %(reason)s, %(before)s, %(after)s)

-- name: note_player_act --
-- Of two transactions that give a player a number, the second one waits, and finds that of the first.
WITH named AS (
    INSERT INTO player_number AS n (user_id) VALUES (%(target)s)
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
    RETURNING number
), noted AS (
    INSERT INTO audit (actor_type, actor, request_id, action, target_type, player, reason)
    SELECT %(actor_type)s, %(actor)s, %(request_id)s, %(action)s, %(target_type)s, number, %(reason)s FROM named
    RETURNING number, player
)
INSERT INTO audit_personal (number, player, before, after)
SELECT number, player, %(before)s, %(after)s FROM noted

-- name: audit_page --
-- The acts with a number below `below`, the latest first. Null: any action, actor, type of target, target, time.
SELECT a.number, a.at, a.actor_type, a.actor, a.request_id, a.action, a.target_type, coalesce(a.target, n.user_id) AS target,
       a.player, a.reason, coalesce(a.before, d.before) AS before, coalesce(a.after, d.after) AS after
FROM audit a
LEFT JOIN player_number n ON n.number = a.player
LEFT JOIN audit_personal d ON d.number = a.number
WHERE a.number < %(below)s
  AND (%(action)s::text IS NULL OR a.action = %(action)s::text)
  AND (%(actor)s::text IS NULL OR a.actor = %(actor)s::text)
  AND (%(target_type)s::text IS NULL OR a.target_type = %(target_type)s::text)
  AND (%(target)s::text IS NULL OR a.target = %(target)s::text
       OR a.player = (SELECT o.number FROM player_number o WHERE o.user_id = %(target)s::text))
  AND (%(since)s::timestamptz IS NULL OR a.at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR a.at < %(until)s::timestamptz)
ORDER BY a.number DESC LIMIT %(limit)s

-- name: protect_audit --
-- A dump has no rights, so a restored audit belongs to its owner with all of them.
REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM CURRENT_USER

-- name: doctor_audit --
-- Whether rights bind this role at all, whether it may change the audit, and whether its trigger is there and on.
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       has_table_privilege('audit', 'UPDATE, DELETE, TRUNCATE') OR has_any_column_privilege('audit', 'UPDATE') AS may_change,
       EXISTS (
           SELECT FROM pg_trigger
           WHERE tgrelid = 'audit'::regclass AND tgname = 'audit_append_only' AND tgenabled IN ('O', 'A')
       ) AS guarded
