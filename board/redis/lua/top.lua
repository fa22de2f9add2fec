-- The first players of a board. KEYS: 1 watermark, 2 board. ARGV: 1 last rank wanted, from 0
-- Returns {fence, {member, zscore, …}}, or {} while the partition is being rebuilt.
local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence then return {} end
return {fence, redis.call('ZRANGE', KEYS[2], 0, ARGV[1], 'WITHSCORES')}
