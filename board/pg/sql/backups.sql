-- Backup and restore: the users of the database, and the objects of its schema.

-- name: others_connected --
-- Connected processes of the leaderboard, without commands.
SELECT application_name, count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = session_user
  AND starts_with(application_name, 'leaderboard-') AND NOT starts_with(application_name, 'leaderboard-ctl')
GROUP BY 1 ORDER BY 1

-- name: tables_of_schema --
SELECT current_schema(), (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p'))

-- name: drops_of_schema --
-- Statements that empty the current schema. It is not dropped: its owner may not have the right to create it again.
-- Tables go first: CASCADE also drops the objects that belong to them.
SELECT statement FROM (
    SELECT 1 AS turn, 'DROP TABLE IF EXISTS ' || oid::regclass || ' CASCADE' AS statement
    FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    UNION ALL
    SELECT 2, 'DROP SEQUENCE IF EXISTS ' || oid::regclass || ' CASCADE'
    FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'S'
    UNION ALL
    SELECT 3, 'DROP ROUTINE IF EXISTS ' || oid::regprocedure || ' CASCADE'
    FROM pg_proc WHERE pronamespace = quote_ident(current_schema())::regnamespace
) AS drops ORDER BY turn
