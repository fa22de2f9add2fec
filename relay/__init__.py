"""A pool of processes that carry changed scores from PostgreSQL to Redis."""
