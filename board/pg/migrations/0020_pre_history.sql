-- A player's submissions, read from the ledger.
--
-- The ledger has no index: each submission would pay for it. Its days only grow, so a read goes through a part of one of
-- them by places, from the end, and the next read goes on there.
CREATE FUNCTION ledger_rows(part regclass, periods bigint[], player text, low tid, high tid, most integer)
RETURNS TABLE (place tid, submission bigint, period_id bigint, delta bigint, accepted_at timestamptz, achieved_at timestamptz,
               origin integer, run bytea)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT l.ctid, l.submission, l.period_id, l.delta, l.accepted_at, l.achieved_at, l.origin, l.run FROM ONLY %s l '
        'WHERE l.ctid >= $1 AND l.ctid < $2 AND l.user_id = $3 AND l.period_id = ANY ($4) ORDER BY l.ctid DESC LIMIT $5', part)
    USING low, high, player, periods, most;
END $$;
