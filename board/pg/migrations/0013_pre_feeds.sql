-- Submissions that count in several seasons, or in a period that has ended.

-- The seasons that a submission to this one counts in, too; null: none. They stand in the season's own row: a statement
-- that has waited for the season's lock reads this row anew, and no other one.
ALTER TABLE season ADD COLUMN feeds text[] COLLATE "C";
CREATE INDEX season_feeding ON season (season_id) WHERE feeds IS NOT NULL;

-- What the fed seasons refused of a submission with an idempotency key, as JSON. A table of its own: a ninth column would
-- make each row of `idempotency` 8 bytes longer.
CREATE TABLE idempotency_skipped (
    digest   uuid PRIMARY KEY,
    skipped  text NOT NULL
);

ALTER TABLE period
    ADD COLUMN late_until timestamptz,              -- until then the ended period takes late submissions; null: it takes none
    ADD COLUMN late bigint NOT NULL DEFAULT 0,      -- rises with each statement that writes to the ended period
    ADD COLUMN standings_late bigint NOT NULL DEFAULT 0;    -- the value of `late` that the standings are written for

-- In seasons of `last` the row has, in `submissions`, when the run was achieved: microseconds since 1970, negated. So
-- statements of the previous release, which count upwards from 1, are refused as before: PostgreSQL checks the row that
-- they propose, also where it does not come in.
ALTER TABLE score DROP CONSTRAINT score_by_rule, ADD CONSTRAINT score_by_rule CHECK (
    period_id < 4611686018427387904 OR submissions = 0 OR (submissions < 0 AND period_id >> 57 & 3 = 2)) NOT VALID;

-- Raised by `submit_by_rule_full`: rolls the statement back where a submission would count in a part of its seasons only.
-- `places` are "place:status" of these submissions, separated by spaces.
CREATE FUNCTION submissions_torn(places text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'submissions would be torn' USING ERRCODE = 'LB001', DETAIL = places;
END $$;

-- The columns of a submission in the order of a fed season's: `given` and `wanted` name them as `columns` of a season does,
-- and `run` are their values, turned; missing ones are the least. Null where the names differ.
CREATE FUNCTION fit_columns(given text, wanted text, run bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT CASE
        WHEN count(g.nth) = count(w.nth) AND count(*) = count(w.nth) THEN (
            array_agg(CASE WHEN g.sign = w.sign THEN run[g.nth] ELSE ~run[g.nth] END ORDER BY w.nth)
            || array_fill('-9223372036854775808'::bigint, ARRAY[2])
        )[1:3]
    END
    FROM (
        SELECT m[1] AS sign, m[2] AS name, nth
        FROM regexp_matches(given, '([<>])([^<>]+)', 'g') WITH ORDINALITY AS u (m, nth)
    ) AS g FULL JOIN (
        SELECT m[1] AS sign, m[2] AS name, nth
        FROM regexp_matches(wanted, '([<>])([^<>]+)', 'g') WITH ORDINALITY AS u (m, nth)
    ) AS w ON w.name = g.name
);
