-- begins with: shared.lua
-- A page of a board: the players behind a row, which may have moved or gone meanwhile.
-- ARGV: 2 number of players, 3 period, 4 zscore and 5 member of the row
-- Returns {period, mark, number of players, place of the first entry, {member, zscore, …}}; where players share ranks, the
-- list ends with the rank of its first entry. A place of -1: the board is not of the row's period.
if ARGV[3] ~= period then return {period, mark, size, -1, {}} end
local zscore, member = ARGV[4], ARGV[5]
local first
if tonumber(call('ZMSCORE', KEYS[2], member)[1] or 'nan') == tonumber(zscore) then
  first = call('ZRANK', KEYS[2], member) + 1
else
  -- A binary search among those with the same zscore. Bytes are compared one by one: Lua's `<` follows a locale.
  local function is_behind(other)
    for i = 1, math.min(#member, #other) do
      local mine, theirs = member:byte(i), other:byte(i)
      if mine ~= theirs then return mine < theirs end
    end
    return #member < #other
  end
  local till = call('ZCOUNT', KEYS[2], '-inf', zscore)
  first = call('ZCOUNT', KEYS[2], '-inf', '(' .. zscore)
  while first < till do
    local middle = math.floor((first + till) / 2)
    if is_behind(call('ZRANGE', KEYS[2], middle, middle)[1]) then till = middle else first = middle + 1 end
  end
end
local entries = call('ZRANGE', KEYS[2], first, first + ARGV[2] - 1, 'WITHSCORES')
if shares and entries[1] then entries[#entries + 1] = share_rank(first, entries[1], entries[2]) end
return {period, mark, size, first, entries}
