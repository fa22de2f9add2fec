-- Returns a function: seconds of the monotonic clock.
local ffi = require("ffi")
ffi.cdef [[
  struct bench_timespec { long seconds; long nanoseconds; };
  int clock_gettime(int clock, struct bench_timespec *now);
]]
local MONOTONIC = 1
local clock = ffi.new("struct bench_timespec")

return function()
  ffi.C.clock_gettime(MONOTONIC, clock)
  return tonumber(clock.seconds) + tonumber(clock.nanoseconds) / 1e9
end
