-- begins with: board.lua
-- The rank, from 0, that the player at a place shares with all who have the same score: that of the first of them.
-- PERF: no function where players share none.
local share_rank = shares and function(place, member, zscore)
  local from, till = call('ZCOUNT', KEYS[2], '-inf', '(' .. zscore), place
  local high, rest = member:byte(1, 2)
  local low = high * 256 + rest
  -- A zscore beyond 2^52 is that of many scores: a binary search among their members finds the first of this one.
  while from < till do
    local middle = math.abs(zscore) < 2 ^ 52 and from or math.floor((from + till) / 2)
    high, rest = call('ZRANGE', KEYS[2], middle, middle)[1]:byte(1, 2)
    if high * 256 + rest < low then from = middle + 1 else till = middle end
  end
  return from
end
