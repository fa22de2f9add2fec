-- The first player of each board, as the last event `leader.changed` told it.
CREATE TABLE leader (
    season_id  text COLLATE "C" PRIMARY KEY,
    period_id  bigint NOT NULL,             -- a leader of an earlier period counts as none
    user_id    text COLLATE "C"             -- null: nobody leads; '': somebody does, and no event has told who
) WITH (fillfactor = 80);

-- Boards that have players already get no event for the player who leads them now.
INSERT INTO leader (season_id, period_id, user_id)
SELECT s.season_id, s.period_id, '' FROM season s WHERE EXISTS (SELECT FROM score r WHERE r.period_id = s.period_id);
