-- GET for a different player (or season) each time. Arguments: path before the number, path after it, count of numbers,
-- stride (without a common factor with the count), first number.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")

local before, after, players, stride, first
local at = 0

function init(args)
  local host = args[0]:match("//([^/]+)")
  before = "GET " .. args[1]
  after = args[2] .. " HTTP/1.1\r\nHost: " .. host .. "\r\n" .. authorization() .. "\r\n"
  players, stride, first = tonumber(args[3]), tonumber(args[4]), tonumber(args[5] or 0)
end

function request()
  at = (at + stride) % players
  return before .. first + at .. after
end
