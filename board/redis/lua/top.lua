-- The first players of a board, or a page of them. KEYS: 1 watermark, 2 board, 3 members.
-- ARGV: 1 season, 2 last rank wanted, from 0, 3 first rank wanted (0 if it is missing)
-- Returns {fence, {member, zscore, …}}, {} while the partition is being rebuilt, 0 if the board was altered by hand.
local fence, counted, noted = unpack(redis.call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = redis.call('ZCARD', KEYS[2])
if size ~= redis.call('HLEN', KEYS[3]) then return 0 end
if noted and counted == fence and tonumber(noted:match('^%d+')) ~= size then return 0 end
return {fence, redis.call('ZRANGE', KEYS[2], ARGV[3] or 0, ARGV[2], 'WITHSCORES')}
