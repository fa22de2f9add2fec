-- Ranks of players of one board, and the players around each, all at one instant.
-- KEYS: 1 watermark, 2 periods, 3 board, 4 members. ARGV: 1 season, 2 players on each side, then the players
-- Returns {} while the partition is being rebuilt, 0 if the board was altered by hand (as in top.lua), else
-- {1 if the season exists, else 0; then for each player one of}:
--   {rank, first rank of the window, {member, zscore, …}}, ranks from 0
--   0 for a player who is not on the board
--   nil where board and members disagree about the player: no answer is better than a wrong one
local fence, counted, noted = unpack(redis.call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = redis.call('ZCARD', KEYS[3])
if size ~= redis.call('HLEN', KEYS[4]) then return 0 end
if noted and counted == fence and tonumber(noted:match('^%d+')) ~= size then return 0 end
local side, count = tonumber(ARGV[2]), #ARGV - 2
local prefixes = redis.call('HMGET', KEYS[4], unpack(ARGV, 3))
local answer, members, number, found = {1}, {}, {}, 0
for i = 1, count do
  if prefixes[i] then
    found = found + 1
    members[found] = prefixes[i] .. ARGV[i + 2]
    number[found] = i
  end
  answer[i + 1] = 0
end
if found < count then answer[1] = redis.call('HEXISTS', KEYS[2], ARGV[1]) end
if found == 0 then return answer end
local scores = side == 0 and redis.call('ZMSCORE', KEYS[3], unpack(members))
for i = 1, found do
  local rank = redis.call('ZRANK', KEYS[3], members[i])
  if not rank then
    answer[number[i] + 1] = false
  elseif scores then
    answer[number[i] + 1] = {rank, rank, {members[i], scores[i]}}
  else
    local first = math.max(0, rank - side)
    answer[number[i] + 1] = {rank, first, redis.call('ZRANGE', KEYS[3], first, rank + side, 'WITHSCORES')}
  end
end
return answer
