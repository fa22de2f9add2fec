-- GET of the same address each time. No arguments: wrk sends its own prepared request.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")

local header = authorization()
if #header > 0 then
  wrk.headers["Authorization"] = header:match(": (.-)\r\n")
end
