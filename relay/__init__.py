"""The relay pool: processes that bring changed scores from PostgreSQL to Redis."""
