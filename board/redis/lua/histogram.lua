-- begins with: edge.lua
-- Numbers of players between edges, all at one instant.
-- ARGV: from 2 on the edges: zscore and low of each score; low 2047 where all players with the zscore have it
-- Returns {period, mark, number of players, players with each edge's score or better; member and zscore of the best and
-- of the worst player}; no players for an empty board.
local answer, n = {period, mark, size}, 3
for at = 2, #ARGV, 2 do
  n = n + 1
  answer[n] = count_ahead(ARGV[at], tonumber(ARGV[at + 1]))
end
if size > 0 then
  local best = call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  local worst = call('ZRANGE', KEYS[2], size - 1, size - 1, 'WITHSCORES')
  answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = best[1], best[2], worst[1], worst[2]
end
return answer
