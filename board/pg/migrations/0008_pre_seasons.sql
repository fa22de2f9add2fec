-- Seasons with a rule of their own (board/season.py).
--
-- The upper bits of a `period_id`, from bit 56 on, are the period's fold: 0 for plain seasons (sums, the highest first),
-- 64 or more for all others, 1 in the lowest bit where the lowest is first. Rows of those stand in `score` as the board
-- orders them: with the complement of the score, ~score, where the lowest is first.
ALTER TABLE season
    ADD COLUMN revision bigint NOT NULL DEFAULT 0,      -- rises with each change of the definition; 0: never defined
    ADD COLUMN fold smallint NOT NULL DEFAULT 0,        -- that of the current period
    ADD COLUMN ruled boolean NOT NULL DEFAULT false,    -- only `submit_by_rule` may write to it
    ADD COLUMN low bigint NOT NULL DEFAULT -9223372036854775808,    -- bounds of one submission
    ADD COLUMN high bigint NOT NULL DEFAULT 9223372036854775807,
    ADD COLUMN opens_at timestamptz;

-- The members of a season that were set, as JSON.
CREATE TABLE season_definition (
    season_id   text COLLATE "C" PRIMARY KEY,
    definition  text NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);

-- What `submit_by_rule` found under the row's lock: score and number before the last statement of a player, turned like
-- `score`. null: there was no row. A new row carries a figure of its own statement in `previous_reached`.
ALTER TABLE score ADD COLUMN previous bigint, ADD COLUMN previous_reached bigint;

ALTER TABLE idempotency ADD COLUMN previous bigint, ADD COLUMN improved boolean;

-- The statements of the previous release know sums only. In all other periods they are refused, one submission at a time:
-- they count submissions in the row, and begin periods without a fold. NOT VALID: there are no such rows yet.
ALTER TABLE score ADD CONSTRAINT score_by_rule CHECK (period_id < 4611686018427387904 OR submissions = 0) NOT VALID;
ALTER TABLE season ADD CONSTRAINT season_by_rule CHECK (fold = 0 OR period_id >> 56 = fold) NOT VALID;
