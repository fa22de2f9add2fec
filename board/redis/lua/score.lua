-- The score that a rank, or a share of the players, has. KEYS: 1 watermark, 2 board, 3 members.
-- ARGV: 1 season, 2 'rank', 3 rank from 0; or 2 'share', 3 share of the players that are ahead, from 0 to 1
-- Returns {number of players, rank of the first entry, {member, zscore, …}}: the entry of the rank, if there is one; or
-- those about the share, three at most, since a double may miss the entry by one. Returns {} while the partition is
-- being rebuilt, 0 if the board was altered by hand (as in top.lua).
local fence, counted, noted = unpack(redis.call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = redis.call('ZCARD', KEYS[2])
if size ~= redis.call('HLEN', KEYS[3]) then return 0 end
if noted and counted == fence and tonumber(noted:match('^%d+')) ~= size then return 0 end
local first = tonumber(ARGV[3])
local last = first
if ARGV[2] == 'share' then
  local near = math.floor(size * first)
  first, last = math.max(0, near - 1), near + 1
end
return {size, first, redis.call('ZRANGE', KEYS[2], first, last, 'WITHSCORES')}
