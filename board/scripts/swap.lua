-- Put the freshly loaded boards of a whole partition in place, all at once, with their fence.
-- KEYS: 1 watermark, 2 periods, 3 set of temporary keys, then per season: board, members, loaded board, loaded members
-- ARGV: 1 my fence, 2 PostgreSQL identity, 3 prefix of the partition's keys, then per season: season, period, players loaded
-- Returns {verdict, fence held, identity held}; verdict: ok, ahead, short (a temporary key is not complete).
local held = redis.call('HMGET', KEYS[1], 'fence', 'identity')
if held[1] and held[2] == ARGV[2] and tonumber(held[1]) > tonumber(ARGV[1]) then
  return {'ahead', held[1], held[2]}
end
for at = 4, #ARGV, 3 do
  local key = 4 + (at - 4) / 3 * 4
  local expected = tonumber(ARGV[at + 2])
  if redis.call('ZCARD', KEYS[key + 2]) ~= expected or redis.call('HLEN', KEYS[key + 3]) ~= expected then
    return {'short', ARGV[at], ''}
  end
end
local known = redis.call('HKEYS', KEYS[2])
for i = 1, #known do
  redis.call('UNLINK', ARGV[3] .. 'z:' .. known[i], ARGV[3] .. 'h:' .. known[i])
end
redis.call('UNLINK', KEYS[2])
for at = 4, #ARGV, 3 do
  local key = 4 + (at - 4) / 3 * 4
  redis.call('UNLINK', KEYS[key], KEYS[key + 1])
  if tonumber(ARGV[at + 2]) > 0 then
    redis.call('RENAME', KEYS[key + 2], KEYS[key])
    redis.call('RENAME', KEYS[key + 3], KEYS[key + 1])
  end
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
end
redis.call('UNLINK', KEYS[3])
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'identity', ARGV[2])
return {'ok', ARGV[1], ARGV[2]}
