-- The beginning of each script that reads a board. KEYS: 1 watermark, 2 board, 3 members, 4 periods. ARGV: 1 season
-- The board of a segment has a line break and the segment behind its key, and KEYS: 5 numbers of players in segments.
-- It ends the script with {} while the partition is being rebuilt, and with 0 if the board was altered by hand. Of a
-- segment's board: with -1 if the season has no segments, with -2 if the attribute is none of them, and with -3 if the
-- value has no board.
-- Each script returns first: `period`, which tells the order of the scores and is empty for an unknown season; `mark`,
-- which names the state of the board and ends with its label: the columns, as '<time>moves', '.p12' for the period's number, '.c' where
-- players share ranks; and `size`, the number of players.
local call = redis.call
local fence, counted, noted = unpack(call('HMGET', KEYS[1], 'fence', 'counted', 'n:' .. ARGV[1]))
if not fence then return {} end
local size, players_of_season = call('ZCARD', KEYS[2]), call('HLEN', KEYS[3])
if size ~= players_of_season and not KEYS[5] then return 0 end
-- The number of players, the period that they are of, and the batch that touched the board last.
local players, period, mark = string.match(noted or '', '^(%d*):(%d*):([%w.<>_]+)$')
local shares = mark and mark:sub(-2) == '.c'
if noted and counted == fence and players ~= '' and tonumber(players or -1) ~= players_of_season then return 0 end
if counted ~= fence then
  -- A release that leaves no marks has written last: each of its batches may have touched the board.
  local label = (mark or ''):match('[<>].*$') or (mark or ''):match('%.p%d.*$') or (shares and '.c' or '')
  period, mark = call('HGET', KEYS[4], ARGV[1]) or '', '~' .. fence .. label
elseif not noted or players == '' then
  -- No batch has touched the board since the marks were forgotten.
  local since = call('HGET', KEYS[1], 'since') or fence
  local label = (mark or ''):match('[<>].*$') or (mark or ''):match('%.p%d.*$') or (shares and '.c' or '')
  period, mark = call('HGET', KEYS[4], ARGV[1]) or '', '-' .. since .. label
end
if KEYS[5] then
  local segment, notes = KEYS[2]:match('\n(.*)$'), call('HGET', KEYS[1], 's:' .. ARGV[1])
  if not notes then return -1 end
  local wrote, attributes = notes:match('^(%d+%.%x+):(.*)$')
  local attribute, list = segment:match('^[^:]+'), ',' .. (attributes or '') .. ','
  local is_full = list:find(',' .. attribute .. '!,', 1, true)
  if not is_full and not list:find(',' .. attribute .. ',', 1, true) then return -2 end
  -- The last batch of the board has to be that of the segments: a release that does not know them may have written last.
  if counted ~= fence or wrote ~= (mark or ''):match('^%d+%.%x+') then return 0 end
  local noted_size = call('HGET', KEYS[5], segment)
  if tonumber(noted_size or 0) ~= size then return 0 end
  if is_full and size == 0 then return -3 end
end
