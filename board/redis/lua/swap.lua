-- Put newly loaded boards and profiles in place, all at once, with their fence: those of a whole partition, or some.
-- KEYS: 1 watermark, 2 periods, 3 set of temporary keys, 4 profiles, 5 loaded profiles,
--       then per season: board, members, loaded board, loaded members
-- ARGV: 1 my fence, 2 committed fence, 3 PostgreSQL identity, 4 prefix of the partition's keys, 5 'all' or 'some',
--       6 epoch of PostgreSQL, 7 profiles loaded, or an empty text if they stay as they are,
--       then per season: season, period, label, players loaded. In a season with segments the label has a line break and
--       their attributes behind it, and the keys `tg:`, `tv:` and `ts:` of the season have what `apply.lua` keeps in
--       `g:`, `v:` and `s:`
-- Returns {verdict, fence held, identity held}; verdict: ok, lost, identity, ahead, short (a temporary key is not complete).
-- After ok follow the first member and its zscore for each season, both empty for an empty board.
-- Uses pcall where a key may be of a wrong type: a rebuild has to repair that, too.
local mine, all = tonumber(ARGV[1]), ARGV[5] == 'all'
local held = redis.pcall('HMGET', KEYS[1], 'fence', 'identity', 'counted', 'stamp', 'profiled')
-- Missing rights and the like say nothing about the data.
if held.err and not held.err:find('WRONGTYPE', 1, true) then return held end
if held.err or (held[1] and not tonumber(held[1])) then held = {false, false, false, false, false} end
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
for at = 8, #ARGV, 4 do
  local key = at - 2
  local expected = tonumber(ARGV[at + 3])
  if redis.call('ZCARD', KEYS[key + 2]) ~= expected or redis.call('HLEN', KEYS[key + 3]) ~= expected then
    return {'short', ARGV[at], ''}
  end
end
-- Delete the boards of a season's segments. A key may be of a wrong type here, too.
local function drop_segments(season)
  local segments = redis.pcall('HKEYS', ARGV[4] .. 'v:' .. season)
  for i = 1, #segments do redis.call('UNLINK', ARGV[4] .. 's:' .. season .. '\n' .. segments[i]) end
  redis.call('UNLINK', ARGV[4] .. 'v:' .. season, ARGV[4] .. 'g:' .. season)
end
local profiles = tonumber(ARGV[7])
if profiles and redis.call('HLEN', KEYS[5]) ~= profiles then return {'short', '', ''} end
if all then
  local known = redis.pcall('HKEYS', KEYS[2])
  if not known.err then
    for i = 1, #known do
      redis.call('UNLINK', ARGV[4] .. 'z:' .. known[i], ARGV[4] .. 'h:' .. known[i])
      drop_segments(known[i])
    end
  end
  redis.call('UNLINK', KEYS[1], KEYS[2])
elseif held[3] ~= held[1] then
  -- A release that does not count players has written last: the numbers of players are forgotten.
  local notes = redis.call('HGETALL', KEYS[1])
  redis.call('UNLINK', KEYS[1])
  redis.call('HSET', KEYS[1], 'since', held[1])
  for i = 2, #notes, 2 do
    local label = notes[i]:match('^%d*:%d*:%d+%.%x+(.*)$') or notes[i]:match('^::(.*)$')
    if label and label ~= '' then redis.call('HSET', KEYS[1], notes[i - 1], '::' .. label) end
    if notes[i - 1]:sub(1, 2) == 's:' then redis.call('HSET', KEYS[1], notes[i - 1], notes[i]) end
  end
end
local mark = ARGV[1] .. '.' .. redis.sha1hex(ARGV[3]):sub(1, 8)
local answer = {'ok', ARGV[1], ARGV[3]}
for at = 8, #ARGV, 4 do
  local key = at - 2
  redis.call('UNLINK', KEYS[key], KEYS[key + 1])
  if tonumber(ARGV[at + 3]) > 0 then
    redis.call('RENAME', KEYS[key + 2], KEYS[key])
    redis.call('RENAME', KEYS[key + 3], KEYS[key + 1])
  end
  local first = redis.call('ZRANGE', KEYS[key], 0, 0, 'WITHSCORES')
  answer[#answer + 1] = first[1] or ''
  answer[#answer + 1] = first[2] or ''
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
  local season, label, attributes = ARGV[at], ARGV[at + 2]:match('^([^\n]*)\n?(.*)$')
  redis.call('HSET', KEYS[1], 'n:' .. season, ARGV[at + 3] .. ':' .. ARGV[at + 1] .. ':' .. mark .. label)
  drop_segments(season)
  redis.call('HDEL', KEYS[1], 's:' .. season)
  if attributes ~= '' then
    local base = ARGV[4]
    redis.call('HSET', KEYS[1], 's:' .. season, mark .. ':' .. attributes)
    local segments = redis.call('HKEYS', base .. 'tv:' .. season)
    for i = 1, #segments do
      redis.call('RENAME', base .. 'ts:' .. season .. '\n' .. segments[i], base .. 's:' .. season .. '\n' .. segments[i])
    end
    if #segments > 0 then
      redis.call('RENAME', base .. 'tv:' .. season, base .. 'v:' .. season)
      redis.call('RENAME', base .. 'tg:' .. season, base .. 'g:' .. season)
    end
  end
end
if profiles then
  redis.call('UNLINK', KEYS[4])
  if profiles > 0 then redis.call('RENAME', KEYS[5], KEYS[4]) end
  redis.call('HSET', KEYS[1], 'profiles', ARGV[7] .. ':' .. mark)
end
-- Still complete, unless a release that does not know profiles has written since they were loaded.
if profiles or held[5] == held[1] then redis.call('HSET', KEYS[1], 'profiled', ARGV[1]) end
redis.call('UNLINK', KEYS[3])
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'identity', ARGV[3], 'counted', ARGV[1], 'stamp', ARGV[1] .. '.' .. ARGV[6])
return answer
