-- Periods that end by a schedule (board/schedule.py), are kept, and are closed; and the events that tell of it.

-- The end of the current period stands in `season`: a statement that has waited for the season's lock reads this row anew,
-- and no other one.
ALTER TABLE season
    ADD COLUMN ends_at timestamptz,                     -- null: the period ends by hand only
    ADD COLUMN closed boolean NOT NULL DEFAULT false,   -- its last end has come: no period is open
    ADD COLUMN period_number integer,                   -- that of the period, in seasons with a schedule; else null
    ADD COLUMN numbered bigint;                         -- the period_id that `period_number` is of
CREATE INDEX season_due ON season (ends_at) WHERE ends_at IS NOT NULL AND NOT closed;

-- The previous release begins periods without a number: refused in seasons with a schedule. NOT VALID: there are none yet.
ALTER TABLE season ADD CONSTRAINT season_by_schedule CHECK (period_number IS NULL OR numbered = period_id) NOT VALID;

-- `ended_at` goes on to mean that the period's rows are deleted. A period that is kept has `ends_at`.
ALTER TABLE period
    ADD COLUMN ends_at timestamptz,                     -- when it ended; null: it is the current one, or was deleted
    ADD COLUMN closes_at timestamptz,                   -- from then on it may be final
    ADD COLUMN players bigint,                          -- their number, once all of them have a standing
    ADD COLUMN final_at timestamptz,                    -- when it was marked so; its standings are read from then on
    ADD COLUMN cleared boolean NOT NULL DEFAULT false,  -- its rows in `score` were deleted: the standings have them
    ADD COLUMN expired_at timestamptz;                  -- its standings are being deleted
CREATE INDEX period_closing ON period (closes_at, period_id)
    WHERE ends_at IS NOT NULL AND final_at IS NULL AND ended_at IS NULL;
CREATE INDEX period_uncleared ON period (final_at) WHERE final_at IS NOT NULL AND NOT cleared AND ended_at IS NULL;
CREATE INDEX period_expired ON period (expired_at) WHERE expired_at IS NOT NULL AND ended_at IS NULL;

-- Rows of an ended period, with their positions.
CREATE TABLE standing (
    period_id  bigint NOT NULL,
    position   bigint NOT NULL,                         -- from 1, without gaps
    user_id    text COLLATE "C" NOT NULL,
    score      bigint NOT NULL,                         -- as it was submitted, unlike score.score
    reached    bigint NOT NULL,
    shared     bigint NOT NULL,                         -- the position of the first one of the rows with this score
    PRIMARY KEY (period_id, position)
);
CREATE UNIQUE INDEX standing_player ON standing (period_id, user_id);

-- The answer's period, for a submission that is sent again after the period's end.
ALTER TABLE idempotency ADD COLUMN period integer;

-- Histories of this database: a restored dump, or a promoted standby, begins a new one. Its transactions may have numbers
-- that an earlier history had before.
CREATE TABLE history (
    history   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identity  text NOT NULL UNIQUE                      -- of cluster and timeline
);

-- Events are read in the order of (history, xid, number), below the oldest transaction in progress. So none is passed over.
CREATE TABLE event (
    history    integer NOT NULL,
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    number     bigint GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind       text NOT NULL,
    season_id  text COLLATE "C" NOT NULL,
    period     integer NOT NULL,
    data       text NOT NULL,                           -- JSON
    PRIMARY KEY (history, xid, number)
);
CREATE INDEX event_age ON event (at);
