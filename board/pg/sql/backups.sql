-- Backup and restore: is the database in use, and what is in its schema.

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
