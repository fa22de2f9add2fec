-- begins with: shared.lua
-- The first players of a board, or a page of them. ARGV: 2 last rank wanted, from 0, 3 first rank wanted (0 if missing)
-- Returns {period, mark, number of players, {member, zscore, …}}; where players share ranks, the list ends with the rank
-- of its first entry.
local first = tonumber(ARGV[3] or 0)
local entries = call('ZRANGE', KEYS[2], first, ARGV[2], 'WITHSCORES')
if shares and entries[1] then entries[#entries + 1] = share_rank(first, entries[1], entries[2]) end
return {period, mark, size, entries}
