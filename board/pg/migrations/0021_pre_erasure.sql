-- Erasures of players: begun by a request, carried out by the janitor, or by the command.
CREATE TABLE erasure (
    number    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    player    bigint NOT NULL,                  -- that of `player_number`, whose row goes at last
    digest    bytea NOT NULL,                   -- a keyed hash of the user id, for repeating it after a restore
    before    bigint NOT NULL,                  -- submissions up to this number are erased
    asked_at  timestamptz NOT NULL DEFAULT now(),
    done_at   timestamptz,
    erased    text                              -- JSON: how many of what
);
CREATE UNIQUE INDEX erasure_open ON erasure (player) WHERE done_at IS NULL;

-- Delete a player's submissions between two places of a part of the ledger.
CREATE FUNCTION ledger_erase(part regclass, player text, upto bigint, low tid, high tid)
RETURNS TABLE (period_id bigint, delta bigint, accepted_at timestamptz, achieved_at timestamptz, origin integer, run bytea)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'DELETE FROM ONLY %s l WHERE l.ctid >= $1 AND l.ctid < $2 AND l.user_id = $3 AND l.submission <= $4 '
        'RETURNING l.period_id, l.delta, l.accepted_at, l.achieved_at, l.origin, l.run', part)
    USING low, high, player, upto;
END $$;
