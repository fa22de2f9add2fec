-- begins with: shared.lua
-- The score that a rank, or a share of the players, has.
-- ARGV: 2 'rank', 3 rank from 0; or 2 'share', 3 share of the players that are ahead, from 0 to 1
-- Returns {period, mark, number of players, place of the first entry, {member, zscore, …}}: the entry of the rank, if there
-- is one; or those about the share, three at most, since a double may miss the entry by one. Where players share ranks,
-- the list ends with the rank of its first entry.
local first = tonumber(ARGV[3])
local last = first
if ARGV[2] == 'share' then
  local near = math.floor(size * first)
  first, last = math.max(0, near - 1), near + 1
end
local entries = call('ZRANGE', KEYS[2], first, last, 'WITHSCORES')
if shares and entries[1] then entries[#entries + 1] = share_rank(first, entries[1], entries[2]) end
return {period, mark, size, first, entries}
