-- begins with: board.lua
-- The rank, from 0, that the player at a place shares with all who have the same score and columns: that of the first of
-- them. `common` is the length of the part that their members have in common (board/columns.py).
-- PERF: no function where players share none.
local columns = shares and math.floor((tonumber(period) or 0) / 2 ^ 59) % 4
local common = shares and columns > 0 and 3 + 8 * columns or 2
local share_rank = shares and function(place, member, zscore)
  local from, till = call('ZCOUNT', KEYS[2], '-inf', '(' .. zscore), place
  if columns == 0 and math.abs(zscore) < 2 ^ 52 then return from end
  -- A zscore beyond 2^52 is that of many scores, and columns divide a score: a binary search among their members finds the
  -- first of these rows. Bytes are compared one by one: a comparison of strings would follow the locale.
  while from < till do
    local middle = math.floor((from + till) / 2)
    local other, at = call('ZRANGE', KEYS[2], middle, middle)[1], 1
    while at < common and other:byte(at) == member:byte(at) do at = at + 1 end
    if other:byte(at) < member:byte(at) then from = middle + 1 else till = middle end
  end
  return from
end
