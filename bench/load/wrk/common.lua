-- Shared by all scripts: prints the figures as one line of JSON at the end.

-- PERF: counting by status would need wrk's response() hook, which parses every header into a Lua table and slows the
-- generator down. wrk's own count of answers from 400 up costs nothing.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"answers":%d,"refused":%d,"broken":%d,"late":%d,"duration_us":%d,'
      .. '"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d,"mean_us":%.1f}\n',
    summary.requests, e.status, e.connect + e.read + e.write, e.timeout, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max, latency.mean))
end

-- The header with the key from LEADERBOARD_KEY; empty without one.
function authorization()
  local key = os.getenv("LEADERBOARD_KEY")
  return key and #key > 0 and "Authorization: Bearer " .. key .. "\r\n" or ""
end
