-- A player's rank, and the window around it, in one instant.
-- KEYS: 1 watermark, 2 periods, 3 board, 4 members. ARGV: 1 season, 2 user, 3 players on each side
-- Returns {fence, first rank of the window, own rank, {member, zscore, …}} (ranks from 0), or {} while the partition is being
-- rebuilt, {fence} for an unknown season, {fence, ''} for a player who is not on the board.
local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence then return {} end
local prefix = redis.call('HGET', KEYS[4], ARGV[2])
if not prefix then
  if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return {fence, ''} end
  return {fence}
end
local member = prefix .. ARGV[2]
local rank = redis.call('ZRANK', KEYS[3], member)
-- The two halves of the board disagree: somebody altered it by hand. Better no answer than a wrong one.
if not rank then return {} end
local side = tonumber(ARGV[3])
if side == 0 then
  return {fence, rank, rank, {member, redis.call('ZSCORE', KEYS[3], member)}}
end
local first = math.max(0, rank - side)
return {fence, first, rank, redis.call('ZRANGE', KEYS[3], first, rank + side, 'WITHSCORES')}
