-- The first players of a board. KEYS: 1 watermark, 2 board, 3 members, 4 periods. ARGV: 1 season, 2 last rank wanted, from 0
-- Returns {fence, {member, zscore, …}, period}, {} while the partition is being rebuilt, 0 if the board was altered by hand.
-- The period tells the order of the scores; it is empty for an unknown season.
local fence, counted, noted = unpack(redis.call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = redis.call('ZCARD', KEYS[2])
if size ~= redis.call('HLEN', KEYS[3]) then return 0 end
-- The number of players, and the period that they are of.
local players, period = string.match(noted or '', '^(%d+):(.+)$')
if noted and counted == fence and tonumber(players or -1) ~= size then return 0 end
period = counted == fence and period or redis.call('HGET', KEYS[4], ARGV[1]) or ''
return {fence, redis.call('ZRANGE', KEYS[2], 0, ARGV[2], 'WITHSCORES'), period}
