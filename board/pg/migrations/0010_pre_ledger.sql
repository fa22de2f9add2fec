-- The ledger answers for every row: when a run was achieved, who submitted it, and the run itself.
--
-- PERF: a row of at most 8 columns has its bitmap of nulls in the 24 bytes that every row's head takes. So a row without
-- any of the new ones is as long as before, and two things share a column twice.
ALTER TABLE ledger
    ADD COLUMN achieved_at timestamptz,     -- null: when it was accepted
    ADD COLUMN origin integer,              -- who submitted it; null: nothing is known, or a plain season's statement wrote it
    ADD COLUMN run bytea;                   -- null: the number is all of it. Otherwise the number of columns (1 byte), each of
                                            -- them (8 bytes, in the form that sorts), then the metadata (JSON in UTF-8)

-- Who submitted: a key, and a version of a client. Submissions by rule name them by number.
CREATE TABLE origin (
    id              integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id          text COLLATE "C" NOT NULL,      -- that of `api_key`; 'token': a player's token; empty: an open server
    client_version  text COLLATE "C" NOT NULL,      -- empty: not told
    noted_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (key_id, client_version)
);

-- Metadata of the run that counts: of the row of `score` whose `reached` is the same. A table of its own: an index more, or
-- a longer row, would end the HOT updates of `score`.
CREATE TABLE run_metadata (
    period_id  bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    reached    bigint NOT NULL,
    metadata   text NOT NULL,                   -- JSON
    PRIMARY KEY (period_id, user_id)
) WITH (fillfactor = 80);
