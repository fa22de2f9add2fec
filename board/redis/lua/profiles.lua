-- Profiles of players, at one instant. KEYS: 1 watermark, 2 profiles. ARGV: the players
-- Returns the profile of each, or nil; {} while the partition is being rebuilt, 0 if the profiles were altered by hand.
local fence, profiled, noted = unpack(redis.call('HMGET', KEYS[1], 'fence', 'profiled', 'profiles'))
if not fence then return {} end
noted = profiled == fence and tonumber(string.match(noted or '0:', '^(%d+):'))
if noted and noted ~= redis.call('HLEN', KEYS[2]) then return 0 end
return redis.call('HMGET', KEYS[2], unpack(ARGV))
