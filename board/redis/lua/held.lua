-- Which relay had which partition last.
-- KEYS: 1 held (see poke.lua). ARGV: partitions. Returns the time in milliseconds, then what `held` has for each.
local time = redis.call('TIME')
local reply = redis.call('HMGET', KEYS[1], unpack(ARGV))
table.insert(reply, 1, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
return reply
