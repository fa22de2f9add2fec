-- begins with: shared.lua
-- Ranks of up to 1,000 players of one board, at one instant. ARGV: from 2 on the players, perhaps none
-- Returns {period, mark, number of players, prefix or nil of each player, then of those who have a prefix, in order:
-- places from 0, zscores, and shared ranks where players share them}. A place is nil where board and members disagree
-- about the player.
local prefixes = #ARGV > 1 and call('HMGET', KEYS[3], unpack(ARGV, 2)) or {}
local members, ranks, found = {}, {}, 0
for i = 1, #prefixes do
  if prefixes[i] then
    found = found + 1
    members[found] = prefixes[i] .. ARGV[i + 1]
    ranks[found] = call('ZRANK', KEYS[2], members[found])
    if KEYS[5] and not ranks[found] then
      -- On the board of the season, and in another segment or none.
      prefixes[i], members[found], ranks[found], found = false, nil, nil, found - 1
    end
  end
end
local scores = found > 0 and call('ZMSCORE', KEYS[2], unpack(members)) or {}
local shared = {}
if shares then
  for i = 1, found do
    shared[i] = ranks[i] and share_rank(ranks[i], members[i], scores[i])
  end
end
return {period, mark, size, prefixes, ranks, scores, shared}
