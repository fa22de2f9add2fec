-- GET for a different player each time.
-- Arguments: path up to the player's number, path after it, number of players, stride (no common factor with it).
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")

local before, after, players, stride
local at = 0

function init(args)
  local host = args[0]:match("//([^/]+)")
  before = "GET " .. args[1]
  after = args[2] .. " HTTP/1.1\r\nHost: " .. host .. "\r\n" .. authorization() .. "\r\n"
  players, stride = tonumber(args[3]), tonumber(args[4])
end

function request()
  at = (at + stride) % players
  return before .. at .. after
end
