-- Entries that divide a board into parts with the same number of players. KEYS: 1 watermark, 2 board, 3 members.
-- ARGV: 1 season, 2 number of parts
-- Returns {number of players, member, zscore, …}: the worst player of each part, from the worst part on, then the best
-- player of all; no entries for an empty board. Returns {} while the partition is being rebuilt, 0 if the board was
-- altered by hand (as in top.lua).
local call = redis.call
local fence, counted, noted = unpack(call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = call('ZCARD', KEYS[2])
if size ~= call('HLEN', KEYS[3]) then return 0 end
if noted and counted == fence and tonumber(noted:match('^%d+')) ~= size then return 0 end
local parts, answer = tonumber(ARGV[2]), {size}
if size == 0 then return answer end
for part = 0, parts do
  local worse = math.min(math.floor(size * part / parts), size - 1)
  local entry = call('ZRANGE', KEYS[2], size - 1 - worse, size - 1 - worse, 'WITHSCORES')
  answer[2 * part + 2], answer[2 * part + 3] = entry[1], entry[2]
end
return answer
