-- Partitions have fresh hints: wake a relay for each one, unless a relay holds the partition and will look again.
-- KEYS: 1 poke, 2 held. ARGV: partitions
-- `held` has for a partition: the end of the hold in milliseconds of this server's clock, negative if it was poked
-- meanwhile; ":"; and the id of the relay.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, partition in ipairs(ARGV) do
  local value = redis.call('HGET', KEYS[2], partition)
  local till = value and tonumber(string.match(value, '^%-?%d+'))
  -- No relay holds for seconds: such a hold was written by another clock.
  if not till or math.abs(till) <= now or math.abs(till) > now + 5000 then
    redis.call('ZADD', KEYS[1], 0, partition)
  elseif till > 0 then
    redis.call('HSET', KEYS[2], partition, '-' .. value)
  end
end
