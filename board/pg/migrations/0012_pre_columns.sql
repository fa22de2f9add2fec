-- Columns: up to three further numbers of a run, compared after the score (board/columns.py).
--
-- `columns` of a season, and of each of its periods, name them: '<time>moves', with '<' where the lowest is first; null:
-- there are none. Bits 59 and 60 of a `period_id` have their number. A season's are those of its current period.
ALTER TABLE season ADD COLUMN columns text;
ALTER TABLE period ADD COLUMN columns text;

-- The columns of the run that counts, 8 bytes each, in the form that sorts: the greater bytes are the better run. In
-- `score` those of the run before follow, where `previous` has its score. Both in one: a ninth column would make each row
-- of every season 8 bytes longer.
--
-- Rows with columns have the highest bit of `reached` set, and of `previous_reached` where that is a number of a
-- submission: both are negative, and their order is as before. Relays of the previous release, which would write them
-- to Redis without columns, refuse negative numbers.
ALTER TABLE score ADD COLUMN columns bytea;
ALTER TABLE standing ADD COLUMN columns bytea;

-- The columns of the run that counts, of a row of `score`.
CREATE FUNCTION columns_of(period_id bigint, columns bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substr(columns, 1, 8 * (period_id >> 59 & 3)::integer);

-- The form that sorts, of up to three columns that are turned already; null in a period without columns.
CREATE FUNCTION pack_columns(period_id bigint, c1 bigint, c2 bigint, c3 bigint) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN period_id >> 59 & 3 > 0 THEN columns_of(
    period_id, int8send(c1 # '-9223372036854775808'::bigint) || int8send(c2 # '-9223372036854775808'::bigint) || int8send(c3 # '-9223372036854775808'::bigint)
) END;

-- The number at this place, from 0, in the form that sorts. The least one where there is none.
CREATE FUNCTION column_at(columns bytea, place integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(('x' || encode(substr(columns, 1 + 8 * place, 8), 'hex'))::bit(64)::bigint, 0) # '-9223372036854775808'::bigint;
