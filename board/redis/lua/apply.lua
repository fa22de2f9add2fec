-- Write rows read from PostgreSQL to the boards of one partition, if the fence allows it.
-- KEYS: 1 watermark, 2 periods, then per group: board, members; at last profiles, if there are some to write. While its
--       slot moves, a cluster refuses scripts with a key that is not there.
-- ARGV: 1 my fence, 2 committed fence, 3 PostgreSQL identity, 4 its epoch, 5 committed identity, 6 committed stamp,
--       7 number of profiles, then (user, profile) of each; an empty profile removes it. Behind that number ':' and the
--       number of values that tell of segments, which come next: per season its name, n, n times (user, names of the
--       player's segments, a line each). Then per group:
--       season, period, label, n, n times (user, prefix), n times zscore; an empty prefix removes the player.
--       In a season with segments the label has a line break and the attributes behind it; '!' is behind one of which
--       values are left out. The boards of segments are keys that are not named: `lb:{17}:s:<season>`, a line break and
--       the segment; `g:` has the names of each player, `v:` the number of players of each.
-- Returns {verdict, fence held, identity held}; verdict: ok, lost, identity, ahead. Nothing is written unless it is ok.
-- After ok follow the first member and its zscore for each group, both empty for an empty board.
local mine, committed = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.pcall('HMGET', KEYS[1], 'fence', 'identity', 'counted', 'stamp', 'profiled')
local periods = redis.pcall('HLEN', KEYS[2])
local failed = held.err or (type(periods) == 'table' and periods.err)
if failed and not failed:find('WRONGTYPE', 1, true) then
  -- Missing rights and the like say nothing about the data.
  return held.err and held or periods
elseif failed or (held[1] and not tonumber(held[1])) then
  -- A key of another type, or another text, is in the place of the watermark: it counts as lost.
  return {'lost', '', ''}
end
-- The epoch of the fence; none if a release without stamps has written last.
local stamped, epoch = string.match(held[4] or '', '^(%d+)%.(.*)$')
if stamped ~= held[1] then epoch = nil end
local mine_wrote = held[2] == ARGV[3] and (not epoch or epoch == ARGV[4])
-- Another run of PostgreSQL, or its predecessor, has written last, and PostgreSQL knows that very batch: nothing is lost.
local known = epoch and held[4] == ARGV[6] and held[2] == ARGV[5] and tonumber(held[1]) == committed
if not held[1] then
  if committed > 0 then return {'lost', '', ''} end
elseif not mine_wrote and not known then
  return {'identity', held[1], held[2] or ''}
elseif tonumber(held[1]) < committed then
  return {'lost', held[1], held[2]}
elseif tonumber(held[1]) > mine then
  return {'ahead', held[1], held[2]}
end
if held[1] and held[3] ~= held[1] then
  -- A release that does not count players has written last: the numbers of players are forgotten.
  local notes = redis.call('HGETALL', KEYS[1])
  redis.call('UNLINK', KEYS[1])
  redis.call('HSET', KEYS[1], 'fence', held[1], 'identity', held[2], 'since', held[1])
  -- Such a release does not know of labels: of ranks that are shared, and of columns.
  for i = 2, #notes, 2 do
    local label = notes[i]:match('^%d*:%d*:%d+%.%x+(.*)$') or notes[i]:match('^::(.*)$')
    if label and label ~= '' then redis.call('HSET', KEYS[1], notes[i - 1], '::' .. label) end
    -- Nor of segments: their notes stay, and tell that their boards are of an earlier batch.
    if notes[i - 1]:sub(1, 2) == 's:' then redis.call('HSET', KEYS[1], notes[i - 1], notes[i]) end
  end
end

-- Fences of two clusters, or of two histories of one, may be equal.
local mark = ARGV[1] .. '.' .. redis.sha1hex(ARGV[3]):sub(1, 8)
-- A release that does not know profiles drops their hints: from then on they are complete only after the next load.
local carried = not held[1] or held[5] == held[1]
local profiles, segment_values = tonumber(ARGV[7]), 0
if not profiles then
  profiles, segment_values = ARGV[7]:match('^(%d+):(%d+)$')
  profiles, segment_values = tonumber(profiles), tonumber(segment_values)
end
if profiles > 0 then
  local shown, noted = KEYS[#KEYS], redis.call('HGET', KEYS[1], 'profiles')
  -- All have been carried, and none has been noted: what is there is of another time.
  if carried and not noted then redis.call('UNLINK', shown) end
  local count = redis.pcall('HLEN', shown)
  if type(count) == 'table' then
    if not count.err:find('WRONGTYPE', 1, true) then return count end
    -- Altered by hand: all are loaded anew.
    redis.call('UNLINK', shown)
    count, carried = 0, false
  end
  count = tonumber(string.match(noted or '', '^(%d+):')) or count
  for first = 0, profiles - 1, 1000 do
    local set, gone, nset, ngone = {}, {}, 0, 0
    for i = first, math.min(first + 1000, profiles) - 1 do
      local user, profile = ARGV[8 + 2 * i], ARGV[9 + 2 * i]
      if profile ~= '' then
        set[nset + 1], set[nset + 2], nset = user, profile, nset + 2
      else
        ngone = ngone + 1
        gone[ngone] = user
      end
    end
    if nset > 0 then count = count + redis.call('HSET', shown, unpack(set, 1, nset)) end
    if ngone > 0 then count = count - redis.call('HDEL', shown, unpack(gone, 1, ngone)) end
  end
  redis.call('HSET', KEYS[1], 'profiles', string.format('%.0f:%s', count, mark))
end

-- PERF: no function and no table where no season has segments.
local named_of = segment_values > 0 and {}
local next_season = 8 + 2 * profiles
while next_season < 8 + 2 * profiles + segment_values do
  local names, last = {}, next_season + 1 + 2 * tonumber(ARGV[next_season + 1])
  for i = next_season + 2, last, 2 do names[ARGV[i]] = ARGV[i + 1] end
  named_of[ARGV[next_season]], next_season = names, last + 1
end

-- Delete the boards of a season's segments.
local drop_segments = named_of and function(season)
  local base = KEYS[1]:sub(1, -2)
  local segments = redis.call('HKEYS', base .. 'v:' .. season)
  for i = 1, #segments do redis.call('UNLINK', base .. 's:' .. season .. '\n' .. segments[i]) end
  redis.call('UNLINK', base .. 'v:' .. season, base .. 'g:' .. season)
end

-- Move players, 1,000 at most, on the boards of their segments. `before` and `after` are their prefixes, by place.
local write_segments = named_of and function(season, users, before, after, zscores)
  local base, names = KEYS[1]:sub(1, -2), named_of[season]
  local held = redis.call('HMGET', base .. 'g:' .. season, unpack(users))
  local gone, come, set, unset = {}, {}, {}, {}
  for i = 1, #users do
    local old, new = held[i] or '', after[i] ~= '' and names[users[i]] or ''
    if before[i] and (before[i] ~= after[i] or old ~= new) then
      for segment in old:gmatch('[^\n]+') do
        local list = gone[segment] or {}
        gone[segment], list[#list + 1] = list, before[i] .. users[i]
      end
    end
    for segment in new:gmatch('[^\n]+') do
      local list = come[segment] or {}
      come[segment], list[#list + 1], list[#list + 2] = list, zscores[i], after[i] .. users[i]
    end
    if new == '' then
      if held[i] then unset[#unset + 1] = users[i] end
    elseif old ~= new then
      set[#set + 1], set[#set + 2] = users[i], new
    end
  end
  local moved = {}
  for segment, list in pairs(gone) do
    moved[segment] = -redis.call('ZREM', base .. 's:' .. season .. '\n' .. segment, unpack(list))
  end
  for segment, list in pairs(come) do
    moved[segment] = (moved[segment] or 0) + redis.call('ZADD', base .. 's:' .. season .. '\n' .. segment, unpack(list))
  end
  if #set > 0 then redis.call('HSET', base .. 'g:' .. season, unpack(set)) end
  if #unset > 0 then redis.call('HDEL', base .. 'g:' .. season, unpack(unset)) end
  for segment, by in pairs(moved) do
    local number = tonumber(redis.call('HGET', base .. 'v:' .. season, segment) or 0) + by
    if number == 0 then
      redis.call('HDEL', base .. 'v:' .. season, segment)
    elseif by ~= 0 then
      redis.call('HSET', base .. 'v:' .. season, segment, string.format('%.0f', number))
    end
  end
end

local answer = {'ok', ARGV[1], ARGV[3]}
local argc, at, key = #ARGV, 8 + 2 * profiles + segment_values, 3
while at <= argc do
  local season, period, label, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local board, members = KEYS[key], KEYS[key + 1]
  -- The attributes of the season's segments, if their boards are of the same batch as the season's.
  local attributes
  if named_of and named_of[season] then
    label, attributes = label:match('^([^\n]*)\n(.*)$')
    local wrote, had = string.match(redis.call('HGET', KEYS[1], 's:' .. season) or '', '^(%d+%.%x+):(.*)$')
    local last = string.match(redis.call('HGET', KEYS[1], 'n:' .. season) or '', '^%d+:%d*:(%d+%.%x+)')
    if wrote ~= last or (had or ''):gsub('!', '') ~= attributes:gsub('!', '') then
      attributes = not redis.call('HGET', KEYS[2], season) and attributes or nil
    end
  end
  -- The number of players that the last writer left, and its period: a second witness of both.
  local noted = redis.call('HGET', KEYS[1], 'n:' .. season)
  local size, noted_in = string.match(noted or '', '^(%d+):(%d*):')
  size = noted_in == period and tonumber(size)
  if redis.call('HGET', KEYS[2], season) ~= period then
    if not size then
      redis.call('UNLINK', board, members)
      size = 0
      if attributes then drop_segments(season) end
    end
    redis.call('HSET', KEYS[2], season, period)
  end
  local pairs_at, scores_at = at + 4, at + 4 + 2 * n
  -- 1,000 players a call: Lua's unpack fails near 7,000 values, and a ZADD should stay under 3,500 pairs.
  for first = 0, n - 1, 1000 do
    local last = math.min(first + 1000, n) - 1
    local users, count = {}, 0
    for i = first, last do
      count = count + 1
      users[count] = ARGV[pairs_at + 2 * i]
    end
    local before = redis.call('HMGET', members, unpack(users, 1, count))
    local old, add, gone, nold, nadd, ngone, fresh = {}, {}, {}, 0, 0, 0, 0
    if attributes then
      local after, zscores = {}, {}
      for i = first, last do
        after[i - first + 1], zscores[i - first + 1] = ARGV[pairs_at + 2 * i + 1], ARGV[scores_at + i]
      end
      write_segments(season, users, before, after, zscores)
    end
    for i = first, last do
      local user, prefix = ARGV[pairs_at + 2 * i], ARGV[pairs_at + 2 * i + 1]
      local was = before[i - first + 1]
      if was and was ~= prefix then
        nold = nold + 1
        old[nold] = was .. user
      end
      if prefix ~= '' then
        add[nadd + 1] = ARGV[scores_at + i]
        add[nadd + 2] = prefix .. user
        nadd = nadd + 2
        if not was then fresh = fresh + 1 end
      elseif was then
        ngone = ngone + 1
        gone[ngone] = user
      end
    end
    if nold > 0 then redis.call('ZREM', board, unpack(old, 1, nold)) end
    if ngone > 0 then redis.call('HDEL', members, unpack(gone, 1, ngone)) end
    if nadd > 0 then
      redis.call('ZADD', board, unpack(add, 1, nadd))
      if ngone == 0 and count == nadd / 2 then
        redis.call('HSET', members, unpack(ARGV, pairs_at + 2 * first, pairs_at + 2 * last + 1))
      else
        local set, nset = {}, 0
        for i = first, last do
          if ARGV[pairs_at + 2 * i + 1] ~= '' then
            set[nset + 1] = ARGV[pairs_at + 2 * i]
            set[nset + 2] = ARGV[pairs_at + 2 * i + 1]
            nset = nset + 2
          end
        end
        redis.call('HSET', members, unpack(set, 1, nset))
      end
    end
    size = size and size + fresh - ngone
  end
  if not size then
    -- Counted from now on, unless one half was altered by hand.
    local entries = redis.call('ZCARD', board)
    size = entries == redis.call('HLEN', members) and entries
  end
  if size then
    redis.call('HSET', KEYS[1], 'n:' .. season, string.format('%.0f:%s:%s', size, period, mark .. label))
    if attributes then redis.call('HSET', KEYS[1], 's:' .. season, mark .. ':' .. attributes) end
  end
  local first = redis.call('ZRANGE', board, 0, 0, 'WITHSCORES')
  answer[key + 1], answer[key + 2] = first[1] or '', first[2] or ''
  at, key = scores_at + n, key + 2
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'identity', ARGV[3], 'counted', ARGV[1], 'stamp', ARGV[1] .. '.' .. ARGV[4])
if carried then redis.call('HSET', KEYS[1], 'profiled', ARGV[1]) end
return answer
