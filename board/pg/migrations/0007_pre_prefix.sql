-- The prefix of the keys in Redis, LEADERBOARD_REDIS_PREFIX: that of the first process that started with this column.
-- Relays of two prefixes would take each other's hints.
ALTER TABLE cluster ADD COLUMN redis_prefix text;
