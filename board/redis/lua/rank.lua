-- Ranks of players of one board, and the players around each, all at one instant.
-- KEYS: 1 watermark, 2 periods, 3 board, 4 members. ARGV: 1 season, 2 players on each side, then the players
-- Returns {} while the partition is being rebuilt, 0 if the board was altered by hand (as in top.lua), else
-- {period, or an empty text if the season does not exist; then for each player three values}; ranks are from 0:
--   rank, member, zscore where no neighbours are asked for
--   rank, first rank of the window, {member, zscore, …} otherwise
--   -1, 0, 0 for a player who is not on the board
--   nil, 0, 0 where board and members disagree about the player: no answer is better than a wrong one
-- PERF: a table for each player, and one in it, would cost Redis a third more for a rank.
local call = redis.call
local fence, counted, noted = unpack(call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = call('ZCARD', KEYS[3])
if size ~= call('HLEN', KEYS[4]) then return 0 end
-- The number of players, and the period that they are of.
local players, period = string.match(noted or '', '^(%d+):(.+)$')
if noted and counted == fence and tonumber(players or -1) ~= size then return 0 end
local side, count = tonumber(ARGV[2]), #ARGV - 2
local prefixes = call('HMGET', KEYS[4], unpack(ARGV, 3))
local members, found = {}, 0
for i = 1, count do
  if prefixes[i] then
    found = found + 1
    members[found] = prefixes[i] .. ARGV[i + 2]
  end
end
period = counted == fence and period or call('HGET', KEYS[2], ARGV[1]) or ''
local answer, at = {period}, 1
local scores = side == 0 and found > 0 and call('ZMSCORE', KEYS[3], unpack(members))
found = 0
for i = 1, count do
  local rank, second, third = -1, 0, 0
  if prefixes[i] then
    found = found + 1
    rank = call('ZRANK', KEYS[3], members[found])
    if rank and scores then
      second, third = members[found], scores[found]
    elseif rank then
      second = math.max(0, rank - side)
      third = call('ZRANGE', KEYS[3], second, rank + side, 'WITHSCORES')
    end
  end
  answer[at + 1], answer[at + 2], answer[at + 3] = rank, second, third
  at = at + 3
end
return answer
