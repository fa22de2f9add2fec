-- The beginning of each script that reads a board. KEYS: 1 watermark, 2 board, 3 members, 4 periods. ARGV: 1 season
-- It ends the script with {} while the partition is being rebuilt, and with 0 if the board was altered by hand.
-- Each script returns first: `period`, which tells the order of the scores and is empty for an unknown season; `mark`,
-- which names the state of the board and ends with its label: the columns, as '<time>moves', and '.c' where players share
-- ranks; and `size`, the number of players.
local call = redis.call
local fence, counted, noted = unpack(call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size = call('ZCARD', KEYS[2])
if size ~= call('HLEN', KEYS[3]) then return 0 end
-- The number of players, the period that they are of, and the batch that touched the board last.
local players, period, mark = string.match(noted or '', '^(%d*):(%d*):([%w.<>_]+)$')
local shares = mark and mark:sub(-2) == '.c'
if noted and counted == fence and players ~= '' and tonumber(players or -1) ~= size then return 0 end
if counted ~= fence then
  -- A release that leaves no marks has written last: each of its batches may have touched the board.
  local label = (mark or ''):match('[<>].*$') or (shares and '.c' or '')
  period, mark = call('HGET', KEYS[4], ARGV[1]) or '', '~' .. fence .. label
elseif not noted or players == '' then
  -- No batch has touched the board since the marks were forgotten.
  local since = call('HGET', KEYS[1], 'since') or fence
  local label = (mark or ''):match('[<>].*$') or (shares and '.c' or '')
  period, mark = call('HGET', KEYS[4], ARGV[1]) or '', '-' .. since .. label
end
