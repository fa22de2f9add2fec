-- begins with: board.lua
-- Ranks of up to 1,000 players of one board, at one instant. ARGV: from 2 on the players, perhaps none
-- Returns {period, mark, number of players, prefix or nil of each player, ranks from 0, zscores}, the last two of those who have a prefix, in
-- order. A rank is nil where board and members disagree about the player.
local prefixes = #ARGV > 1 and call('HMGET', KEYS[3], unpack(ARGV, 2)) or {}
local members, ranks, found = {}, {}, 0
for i = 1, #prefixes do
  if prefixes[i] then
    found = found + 1
    members[found] = prefixes[i] .. ARGV[i + 1]
    ranks[found] = call('ZRANK', KEYS[2], members[found])
  end
end
return {period, mark, size, prefixes, ranks, found > 0 and call('ZMSCORE', KEYS[2], unpack(members)) or {}}
