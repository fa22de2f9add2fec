-- Metadata of runs.

-- name: find_metadata --
-- The metadata of a player's run, if it is the one with this number.
SELECT metadata FROM run_metadata WHERE period_id = %(period)s AND user_id = %(user)s AND reached = %(reached)s
