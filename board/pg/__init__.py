"""PostgreSQL: connections, statements, migrations."""
