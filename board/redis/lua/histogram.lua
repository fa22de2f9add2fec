-- begins with: board.lua
-- Numbers of players between edges, all at one instant.
-- ARGV: from 2 on the edges: zscore and low of each score; low 2047 where all players with the zscore have it
-- Returns {period, mark, number of players, players with each edge's score or better; member and zscore of the best and
-- of the worst player}; no players for an empty board.
-- A zscore beyond 2^52 is that of many scores: a binary search among their members finds the edge.
local answer, n = {period, mark, size}, 3
for at = 2, #ARGV, 2 do
  local zscore, low = ARGV[at], tonumber(ARGV[at + 1])
  local till = call('ZCOUNT', KEYS[2], '-inf', zscore)
  local from = low == 2047 and till or call('ZCOUNT', KEYS[2], '-inf', '(' .. zscore)
  while from < till do
    local middle = math.floor((from + till) / 2)
    local high, rest = call('ZRANGE', KEYS[2], middle, middle)[1]:byte(1, 2)
    if high * 256 + rest <= low then from = middle + 1 else till = middle end
  end
  n = n + 1
  answer[n] = from
end
if size > 0 then
  local best = call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  local worst = call('ZRANGE', KEYS[2], size - 1, size - 1, 'WITHSCORES')
  answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = best[1], best[2], worst[1], worst[2]
end
return answer
