-- begins with: shared.lua
-- Ranks of players of one board, and the players around each, all at one instant.
-- ARGV: 2 players on each side, then the players
-- Returns {period, mark, number of players, then for each player three values}; ranks are from 0:
--   rank, member, zscore where no neighbours are asked for
--   place, first place of the window, {member, zscore, …} otherwise; where players share ranks, the list ends with the
--   rank of its first entry
--   -1, 0, 0 for a player who is not on the board
--   nil, 0, 0 where board and members disagree about the player: no answer is better than a wrong one
-- PERF: a table for each player, and one in it, would cost Redis a third more for a rank.
local side, count = tonumber(ARGV[2]), #ARGV - 2
local prefixes = call('HMGET', KEYS[3], unpack(ARGV, 3))
local members, found = {}, 0
for i = 1, count do
  if prefixes[i] then
    found = found + 1
    members[found] = prefixes[i] .. ARGV[i + 2]
  end
end
local answer, at = {period, mark, size}, 3
local scores = side == 0 and found > 0 and call('ZMSCORE', KEYS[2], unpack(members))
found = 0
for i = 1, count do
  local rank, second, third = -1, 0, 0
  if prefixes[i] then
    found = found + 1
    rank = call('ZRANK', KEYS[2], members[found])
    if rank and scores then
      second, third = members[found], scores[found]
      if shares then rank = share_rank(rank, second, third) end
    elseif rank then
      second = math.max(0, rank - side)
      third = call('ZRANGE', KEYS[2], second, rank + side, 'WITHSCORES')
      if shares then third[#third + 1] = share_rank(second, third[1], third[2]) end
    elseif KEYS[5] then
      -- On the board of the season, and in another segment or none.
      rank = -1
    end
  end
  answer[at + 1], answer[at + 2], answer[at + 3] = rank, second, third
  at = at + 3
end
return answer
