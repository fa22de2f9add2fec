-- POSTs scores for a time, then sends nothing until wrk ends, so that every submission is answered and counted.
-- Arguments: path, seconds, seed, pool of players (0: a new player each time), submissions per request (0: no batch),
-- prefix of player ids, first number of the pool, seasons (0: one; else %d in the path is a random number below it), member
-- with the number: a small delta, a random score, or "columns": one of ten scores, and a random column "time"; or several
-- of these, separated by commas: that of each season.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")
local now = dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "clock.lua")

local before, after, seconds, pool, size, player, first, seasons, until_
local members = {}
local sent, parked = 0, false

function init(args)
  local host = args[0]:match("//([^/]+)")
  seasons = tonumber(args[8])
  local path, rest = args[1], ""
  if seasons > 0 then path, rest = args[1]:match("^(.-)%%d(.*)$") end
  before = "POST " .. path
  after = rest .. " HTTP/1.1\r\nHost: " .. host .. "\r\n" .. authorization() .. "Content-Type: application/json\r\nContent-Length: "
  seconds, pool, size = tonumber(args[2]), tonumber(args[4]), tonumber(args[5])
  player, first = args[6], tonumber(args[7])
  for member in args[9]:gmatch("[^,]+") do members[#members + 1] = member end
  math.randomseed(tonumber(args[3]))
end

local function submission(member)
  sent = sent + 1
  local number = pool > 0 and first + math.random(0, pool - 1) or sent
  local value = member == "delta" and sent % 100 + 1 or math.random(1, 1000000)
  if member == "columns" then
    local columns = '"columns":{"time":' .. math.random(1, 1000000) .. "}"
    return '{"userId":"' .. player .. number .. '","score":' .. math.random(1, 10) .. "," .. columns .. "}"
  end
  return '{"userId":"' .. player .. number .. '","' .. member .. '":' .. value .. "}"
end

function request()
  local time = now()
  until_ = until_ or time + seconds
  if time >= until_ then
    if not parked then
      parked = true
      io.write("PARKED\n")
      io.flush()
    end
    -- An empty request: wrk writes nothing, and waits on this connection until it ends.
    return ""
  end
  local season = seasons > 0 and math.random(0, seasons - 1) or ""
  local member = #members > 1 and members[season + 1] or members[1]
  local body
  if size == 0 then
    body = submission(member)
  else
    local items = {}
    for at = 1, size do items[at] = submission(member) end
    body = '{"submissions":[' .. table.concat(items, ",") .. "]}"
  end
  return before .. season .. after .. #body .. "\r\n\r\n" .. body
end
