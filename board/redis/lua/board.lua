-- The beginning of each script that reads a board. KEYS: 1 watermark, 2 board, 3 members, 4 periods. ARGV: 1 season
-- It ends the script with {} while the partition is being rebuilt, and with 0 if the board was altered by hand.
-- `size` is the number of players. `period` tells the order of the scores; it is empty for an unknown season.
local call = redis.call
local fence, counted, noted = unpack(call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = call('ZCARD', KEYS[2])
if size ~= call('HLEN', KEYS[3]) then return 0 end
-- The number of players, and the period that they are of.
local players, period = string.match(noted or '', '^(%d+):(.+)$')
if noted and counted == fence and tonumber(players or -1) ~= size then return 0 end
period = counted == fence and period or call('HGET', KEYS[4], ARGV[1]) or ''
