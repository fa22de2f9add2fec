-- GET the same address again and again. No arguments: wrk sends its own ready request.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "common.lua")
