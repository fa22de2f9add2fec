"""PostgreSQL compared with Redis, completely and exactly."""
