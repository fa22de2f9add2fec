-- POSTs lookups, each of other players. Arguments: path, players of a lookup, prefix of player ids, count of players,
-- stride (without a common factor with the count).
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")

local before, size, player, players, stride
local at = 0

function init(args)
  local host = args[0]:match("//([^/]+)")
  before = "POST " .. args[1] .. " HTTP/1.1\r\nHost: " .. host .. "\r\n" .. authorization()
    .. "Content-Type: application/json\r\nContent-Length: "
  size, player, players, stride = tonumber(args[2]), args[3], tonumber(args[4]), tonumber(args[5])
end

function request()
  local ids = {}
  for item = 1, size do
    at = (at + stride) % players
    ids[item] = '"' .. player .. at .. '"'
  end
  local body = '{"userIds":[' .. table.concat(ids, ",") .. "]}"
  return before .. #body .. "\r\n\r\n" .. body
end
