-- begins with: edge.lua
-- Where a new row with a score would stand, behind all with the same score, and the players around that place.
-- ARGV: 2 players on each side, 3 '1' to keep the window full, then zscore and low of the score: 4, 5 where the highest is
-- first, 6, 7 where the lowest is
-- Returns {period, mark, number of players, rank from 0, place of the first entry, {member, zscore, …}}; where players share
-- ranks, the list ends with the rank of its first entry.
local side = tonumber(ARGV[2])
local at = math.floor((tonumber(period) or 0) / 2 ^ 56) % 2 == 1 and 6 or 4
local zscore, low = ARGV[at], tonumber(ARGV[at + 1])
local place = count_ahead(zscore, low)
local rank = place
if shares and columns == 0 and place > 0 then
  local last = call('ZRANGE', KEYS[2], place - 1, place - 1, 'WITHSCORES')
  local high, rest = last[1]:byte(1, 2)
  local is_exact = math.abs(zscore) < 2 ^ 52
  if tonumber(last[2]) == tonumber(zscore) and (is_exact or high * 256 + rest == low) then
    rank = share_rank(place - 1, last[1], last[2])
  end
end
local first = math.max(0, ARGV[3] == '1' and math.min(place - side, size - 2 * side) or place - side)
local last = (ARGV[3] == '1' and first + 2 * side or place + side) - 1
local entries = last >= first and call('ZRANGE', KEYS[2], first, last, 'WITHSCORES') or {}
if shares and entries[1] then entries[#entries + 1] = share_rank(first, entries[1], entries[2]) end
return {period, mark, size, rank, first, entries}
