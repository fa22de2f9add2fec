-- begins with: board.lua
-- Entries that divide a board into parts with the same number of players. ARGV: 2 number of parts
-- Returns {period, mark, number of players, member, zscore, …}: the worst player of each part, from the worst part on, then the best player of
-- all; no entries for an empty board.
local parts, answer = tonumber(ARGV[2]), {period, mark, size}
if size == 0 then return answer end
for part = 0, parts do
  local worse = math.min(math.floor(size * part / parts), size - 1)
  local entry = call('ZRANGE', KEYS[2], size - 1 - worse, size - 1 - worse, 'WITHSCORES')
  answer[2 * part + 4], answer[2 * part + 5] = entry[1], entry[2]
end
return answer
