-- Segments: attributes of players whose values have a board of their own in a season.
--
-- `segments` of a season names them: 'country,platform'; null: there are none.
ALTER TABLE season ADD COLUMN segments text;
CREATE INDEX season_segmented ON season (season_id) WHERE segments IS NOT NULL;

-- The values that have a board in a period, up to 1,000 of an attribute. An empty value stands for those beyond. Rows are
-- written under the claim of the season's partition only: by relays, with the batch or the rebuild that brings the boards.
CREATE TABLE segment_value (
    period_id  bigint NOT NULL,
    attribute  text COLLATE "C" NOT NULL,
    value      text COLLATE "C" NOT NULL,
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (period_id, attribute, value)
);

-- A batch knows its players, not their partitions.
CREATE INDEX player_by_user ON player (user_id);
