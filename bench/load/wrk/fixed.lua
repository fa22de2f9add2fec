-- Sends the same request each time. Arguments: method, path, body ("": none).
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")

local text

function init(args)
  local host = args[0]:match("//([^/]+)")
  text = args[1] .. " " .. args[2] .. " HTTP/1.1\r\nHost: " .. host .. "\r\n" .. authorization()
  if #args[3] > 0 then text = text .. "Content-Type: application/json\r\nContent-Length: " .. #args[3] .. "\r\n" end
  text = text .. "\r\n" .. args[3]
end

function request()
  return text
end
