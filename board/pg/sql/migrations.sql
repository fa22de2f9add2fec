-- The schema: the migrations that a database has.

-- name: schema_versions --
SELECT version FROM schema_migration ORDER BY version

-- name: named_migrations --
SELECT version, name FROM schema_migration ORDER BY version
