-- begins with: board.lua
-- The number of players on a board: {number}.
return {size}
