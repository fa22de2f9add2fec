-- Corrections of past submissions: written by a request, carried out by the keeper, undone as a whole.
--
-- The ledger stays as it is. A correction lists the submissions that it is about, and keeps the rows as they were.
CREATE TABLE correction (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    season_id     text COLLATE "C" NOT NULL,
    reason        text NOT NULL,
    filter        text NOT NULL,                    -- JSON, without the player
    player        bigint,                           -- that of `player_number`; null: the filter names none
    action        text NOT NULL,                    -- 'void', 'set'
    value         bigint,                           -- of 'set'
    affected      bigint NOT NULL,                  -- submissions
    state         text NOT NULL DEFAULT 'pending',  -- then 'applied', or 'refused'; 'undoing', 'undone'
    in_force      boolean NOT NULL DEFAULT false,   -- its items count: 'applied', 'undoing'
    problem       text,                             -- why it was refused
    act           bigint,                           -- rises with each application and each undoing of any correction
    looked        bigint NOT NULL DEFAULT 0,        -- blocks of the ledger that were looked through, of so many
    blocks        bigint NOT NULL DEFAULT 0,
    asked_at      timestamptz NOT NULL DEFAULT now(),
    applied_at    timestamptz,
    undo_asked_at timestamptz,
    undone_at     timestamptz,
    partition     smallint,                         -- that of the hints of the last application or undoing
    xid           xid8                              -- and their transaction
);
CREATE SEQUENCE correction_act;
CREATE INDEX correction_open ON correction (number) WHERE state IN ('pending', 'undoing');
CREATE INDEX correction_by_season ON correction (season_id, number);
CREATE INDEX correction_hints ON correction (partition, xid);

-- The submissions of a correction. Of several in force, the one with the highest number decides.
CREATE TABLE correction_item (
    correction  bigint NOT NULL,
    period_id   bigint NOT NULL,
    user_id     text COLLATE "C" NOT NULL,
    submission  bigint NOT NULL,
    value       bigint NOT NULL,                    -- as it was submitted
    PRIMARY KEY (period_id, user_id, submission, correction)
);
CREATE INDEX correction_item_of ON correction_item (correction);
CREATE INDEX correction_item_by_user ON correction_item (user_id);

-- The rows of these players, before and after: of `score`, `standing` and `run_metadata`. A player without a row has nulls.
CREATE TABLE correction_row (
    correction  bigint NOT NULL,
    period_id   bigint NOT NULL,
    user_id     text COLLATE "C" NOT NULL,
    before      jsonb NOT NULL,
    after       jsonb NOT NULL,
    changed     boolean NOT NULL DEFAULT false,     -- by others, when the correction was undone
    PRIMARY KEY (correction, period_id, user_id)
);
CREATE INDEX correction_row_by_player ON correction_row (period_id, user_id);
CREATE INDEX correction_row_by_user ON correction_row (user_id);

-- Submissions between two places of a part of the ledger, from the first one on. Null: any player, origin, time.
CREATE FUNCTION ledger_between(part regclass, periods bigint[], players text[], origins integer[], since timestamptz,
                               until timestamptz, low tid, high tid, most integer)
RETURNS TABLE (place tid, submission bigint, period_id bigint, user_id text, delta bigint, at bigint, run bytea)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT l.ctid, l.submission, l.period_id, l.user_id, l.delta, '
        '(extract(epoch FROM least(l.achieved_at, l.accepted_at)) * 1000000)::bigint, l.run FROM ONLY %s l '
        'WHERE l.ctid >= $1 AND l.ctid < $2 AND l.period_id = ANY ($3) '
        'AND ($4 IS NULL OR l.user_id = ANY ($4)) AND ($5 IS NULL OR l.origin = ANY ($5)) '
        'AND ($6 IS NULL OR l.accepted_at >= $6) AND ($7 IS NULL OR l.accepted_at < $7) ORDER BY l.ctid LIMIT $8', part)
    USING low, high, periods, players, origins, since, until, most;
END $$;

-- The standing in an image of a row: of a period that has become final since, the one that its row of `score` gives.
CREATE FUNCTION standing_of_image(image jsonb) RETURNS jsonb LANGUAGE sql STABLE
RETURN CASE
    WHEN image -> 'standing' <> 'null' THEN image -> 'standing'
    WHEN image -> 'score' <> 'null' THEN (
        SELECT to_jsonb(t) FROM (
            SELECT s.period_id, s.user_id, CASE WHEN s.period_id >> 56 & 1 = 1 THEN ~s.score ELSE s.score END AS score,
                   s.reached & 9223372036854775807 AS reached, columns_of(s.period_id, s.columns) AS columns
            FROM jsonb_populate_record(NULL::score, image -> 'score') AS s
        ) AS t)
END;
