-- The number of players on a board. KEYS: 1 watermark, 2 board
-- Returns {number}, or {} while the partition is being rebuilt.
if redis.call('HEXISTS', KEYS[1], 'fence') == 0 then return {} end
return {redis.call('ZCARD', KEYS[2])}
