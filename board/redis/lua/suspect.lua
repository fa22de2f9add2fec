-- A reader found a season altered by hand: a relay is to compare it now. Few marks at a time, so that without relays
-- the set does not grow. KEYS: 1 poke. ARGV: 1 mark
if redis.call('ZCARD', KEYS[1]) < 256 then redis.call('ZADD', KEYS[1], 0, ARGV[1]) end
