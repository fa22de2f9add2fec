-- Mixes reads of a rank and writes of a score for random players; like post.lua, it sends nothing in the last second.
-- Arguments: path of the season, seconds, seed, percent of reads, number of players.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")
local now = dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "clock.lua")

local get, get_end, head, seconds, reads, pool, until_

function init(args)
  local host = args[0]:match("//([^/]+)")
  get = "GET " .. args[1] .. "/leaderboard/rank?userId=player-"
  get_end = " HTTP/1.1\r\nHost: " .. host .. "\r\n" .. authorization() .. "\r\n"
  head = "POST " .. args[1] .. "/scores HTTP/1.1\r\nHost: " .. host
    .. "\r\n" .. authorization() .. "Content-Type: application/json\r\nContent-Length: "
  seconds, reads, pool = tonumber(args[2]), tonumber(args[4]), tonumber(args[5])
  math.randomseed(tonumber(args[3]))
end

function request()
  local time = now()
  until_ = until_ or time + seconds
  if time >= until_ then return "" end
  local player = math.random(0, pool - 1)
  if math.random(100) <= reads then return get .. player .. get_end end
  local body = '{"userId":"player-' .. player .. '","delta":' .. player % 100 + 1 .. "}"
  return head .. #body .. "\r\n\r\n" .. body
end
