-- begins with: board.lua
-- The first players of a board, or a page of them. ARGV: 2 last rank wanted, from 0, 3 first rank wanted (0 if missing)
-- Returns {period, mark, number of players, {member, zscore, …}}.
return {period, mark, size, call('ZRANGE', KEYS[2], ARGV[3] or 0, ARGV[2], 'WITHSCORES')}
