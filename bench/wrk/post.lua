-- POST scores for a time, then fall silent until wrk ends, so that every submission sent is answered and counted.
-- Arguments: path, seconds, seed, pool of players (0: a new player each time).
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")

local ffi = require("ffi")
ffi.cdef [[
  struct bench_timespec { long seconds; long nanoseconds; };
  int clock_gettime(int clock, struct bench_timespec *now);
]]
local MONOTONIC = 1
local clock = ffi.new("struct bench_timespec")
local head, seconds, pool, until_
local sent, parked = 0, false

local function now()
  ffi.C.clock_gettime(MONOTONIC, clock)
  return tonumber(clock.seconds) + tonumber(clock.nanoseconds) / 1e9
end

function init(args)
  local host = args[0]:match("//([^/]+)")
  head = "POST " .. args[1] .. " HTTP/1.1\r\nHost: " .. host
    .. "\r\n" .. authorization() .. "Content-Type: application/json\r\nContent-Length: "
  seconds, pool = tonumber(args[2]), tonumber(args[4])
  math.randomseed(tonumber(args[3]))
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
    -- An empty request: wrk writes nothing and waits on this connection for ever.
    return ""
  end
  sent = sent + 1
  local player = pool > 0 and math.random(0, pool - 1) or sent
  local body = '{"userId":"player-' .. player .. '","delta":' .. sent % 100 + 1 .. "}"
  return head .. #body .. "\r\n\r\n" .. body
end
