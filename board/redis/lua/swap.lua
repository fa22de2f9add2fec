-- Put newly loaded boards in place, all at once, with their fence: those of a whole partition, or of some seasons.
-- KEYS: 1 watermark, 2 periods, 3 set of temporary keys, then per season: board, members, loaded board, loaded members
-- ARGV: 1 my fence, 2 committed fence, 3 PostgreSQL identity, 4 prefix of the partition's keys, 5 'all' or 'some',
--       6 epoch of PostgreSQL, then per season: season, period, ranking, players loaded
-- Returns {verdict, fence held, identity held}; verdict: ok, lost, identity, ahead, short (a temporary key is not complete).
-- Uses pcall where a key may be of a wrong type: a rebuild has to repair that, too.
local mine, all = tonumber(ARGV[1]), ARGV[5] == 'all'
local held = redis.pcall('HMGET', KEYS[1], 'fence', 'identity', 'counted', 'stamp')
-- Missing rights and the like say nothing about the data.
if held.err and not held.err:find('WRONGTYPE', 1, true) then return held end
if held.err or (held[1] and not tonumber(held[1])) then held = {false, false, false} end
if held[1] and held[2] == ARGV[3] and tonumber(held[1]) > mine then
  return {'ahead', held[1], held[2]}
end
-- The caller is from before a failover: a later timeline of the same cluster has written.
if held[1] and held[2] and #held[2] == #ARGV[3] and held[2]:match('^%d+:') == ARGV[3]:match('^%d+:') and held[2] > ARGV[3] then
  return {'identity', held[1], held[2]}
end
if not all then
  if not held[1] or type(redis.pcall('HLEN', KEYS[2])) == 'table' then return {'lost', '', ''} end
  if held[2] ~= ARGV[3] then return {'identity', held[1], held[2] or ''} end
  local stamped, epoch = string.match(held[4] or '', '^(%d+)%.(.*)$')
  if stamped == held[1] and epoch ~= ARGV[6] then return {'identity', held[1], held[2]} end
  if tonumber(held[1]) < tonumber(ARGV[2]) then return {'lost', held[1], held[2]} end
end
for at = 7, #ARGV, 4 do
  local key = at - 3
  local expected = tonumber(ARGV[at + 3])
  if redis.call('ZCARD', KEYS[key + 2]) ~= expected or redis.call('HLEN', KEYS[key + 3]) ~= expected then
    return {'short', ARGV[at], ''}
  end
end
if all then
  local known = redis.pcall('HKEYS', KEYS[2])
  if not known.err then
    for i = 1, #known do
      redis.call('UNLINK', ARGV[4] .. 'z:' .. known[i], ARGV[4] .. 'h:' .. known[i])
    end
  end
  redis.call('UNLINK', KEYS[1], KEYS[2])
elseif held[3] ~= held[1] then
  -- A release that does not count players has written last: the numbers of players are forgotten.
  local notes = redis.call('HGETALL', KEYS[1])
  redis.call('UNLINK', KEYS[1])
  redis.call('HSET', KEYS[1], 'since', held[1])
  for i = 2, #notes, 2 do
    if notes[i]:match('^%d*:%d*:[%w.]*%.c$') then redis.call('HSET', KEYS[1], notes[i - 1], '::.c') end
  end
end
local mark = ARGV[1] .. '.' .. redis.sha1hex(ARGV[3]):sub(1, 8)
for at = 7, #ARGV, 4 do
  local key = at - 3
  redis.call('UNLINK', KEYS[key], KEYS[key + 1])
  if tonumber(ARGV[at + 3]) > 0 then
    redis.call('RENAME', KEYS[key + 2], KEYS[key])
    redis.call('RENAME', KEYS[key + 3], KEYS[key + 1])
  end
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
  redis.call('HSET', KEYS[1], 'n:' .. ARGV[at], ARGV[at + 3] .. ':' .. ARGV[at + 1] .. ':' .. mark .. ARGV[at + 2])
end
redis.call('UNLINK', KEYS[3])
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'identity', ARGV[3], 'counted', ARGV[1], 'stamp', ARGV[1] .. '.' .. ARGV[6])
return {'ok', ARGV[1], ARGV[3]}
