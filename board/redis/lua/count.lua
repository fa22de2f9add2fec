-- begins with: board.lua
-- The number of players on a board: {period, mark, number}.
return {period, mark, size}
