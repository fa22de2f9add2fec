-- Ranks of up to 1,000 players of one board, at one instant. KEYS: 1 watermark, 2 board, 3 members.
-- ARGV: 1 season, then the players, perhaps none
-- Returns {prefix or nil of each player, ranks from 0, zscores}, the last two of those who have a prefix, in order.
-- A rank is nil where board and members disagree about the player. Returns {} while the partition is being rebuilt,
-- 0 if the board was altered by hand (as in top.lua).
local call = redis.call
local fence, counted, noted = unpack(call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = call('ZCARD', KEYS[2])
if size ~= call('HLEN', KEYS[3]) then return 0 end
if noted and counted == fence and tonumber(noted:match('^%d+')) ~= size then return 0 end
local prefixes = #ARGV > 1 and call('HMGET', KEYS[3], unpack(ARGV, 2)) or {}
local members, ranks, found = {}, {}, 0
for i = 1, #prefixes do
  if prefixes[i] then
    found = found + 1
    members[found] = prefixes[i] .. ARGV[i + 1]
    ranks[found] = call('ZRANK', KEYS[2], members[found])
  end
end
return {prefixes, ranks, found > 0 and call('ZMSCORE', KEYS[2], unpack(members)) or {}}
