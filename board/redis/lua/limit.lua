-- Spend units of several quotas: of all, or of none. A quota is one key. It holds the time at which the quota is full
-- again (generic cell rate algorithm), in microseconds of this server's clock.
-- KEYS: quotas. ARGV, three for each: microseconds to refill one unit, to refill the whole quota, units to spend
-- Returns {0, microseconds until the first quota is full again, until the second, …}; or, with nothing spent,
-- {number of the first quota without enough units, microseconds until it has enough, until it is full}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local left, after = {0}, {}
for i, key in ipairs(KEYS) do
  local each, whole, units = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  -- Not empty for longer than a window, even if the clock was set back.
  local full = math.min(math.max(tonumber(redis.call('GET', key) or now), now), now + whole)
  after[i] = full + each * units
  left[i + 1] = after[i] - now
  if left[i + 1] > whole then return {i, left[i + 1] - whole, full - now} end
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', after[i]), 'PX', math.ceil(left[i + 1] / 1000))
end
return left
