-- begins with: shared.lua
-- The number of players with a score or a better one. `low` is that of the score; 2047: all with the zscore have it or more.
-- A zscore beyond 2^52 is that of many scores: a binary search among their members finds the edge.
local function count_ahead(zscore, low)
  local till = call('ZCOUNT', KEYS[2], '-inf', zscore)
  local from = low == 2047 and till or call('ZCOUNT', KEYS[2], '-inf', '(' .. zscore)
  while from < till do
    local middle = math.floor((from + till) / 2)
    local high, rest = call('ZRANGE', KEYS[2], middle, middle)[1]:byte(1, 2)
    if high * 256 + rest <= low then from = middle + 1 else till = middle end
  end
  return from
end
