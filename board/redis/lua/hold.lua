-- A relay holds a partition for a moment, so that pokes for it do not wake other relays.
-- KEYS: 1 poke, 2 held (see poke.lua). ARGV: 1 verb, 2 partition, 3 id of the relay, 4 milliseconds
-- verb: take   hold the partition; if another relay holds it, return 0 and mark it as poked
--       leave  let it go, and leave a note of it that holds nothing; if it was poked meanwhile, wake a relay
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local value = redis.call('HGET', KEYS[2], ARGV[2])
local sign, till, who = string.match(value or '', '^(%-?)(%d+):(.*)$')
if ARGV[1] == 'take' then
  if till and who ~= ARGV[3] and tonumber(till) > now and tonumber(till) <= now + 5000 then
    if sign == '' then redis.call('HSET', KEYS[2], ARGV[2], '-' .. value) end
    return 0
  end
  redis.call('HSET', KEYS[2], ARGV[2], string.format('%.0f:%s', now + ARGV[4], ARGV[3]))
elseif who == ARGV[3] then
  redis.call('HSET', KEYS[2], ARGV[2], string.format('%.0f:%s', now, ARGV[3]))
  if sign == '-' then redis.call('ZADD', KEYS[1], 0, ARGV[2]) end
end
return 1
