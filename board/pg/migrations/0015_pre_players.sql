-- Profiles of players: they belong to no season, and are shown on every board.
--
-- A change of one leaves a hint, as a row of `score` does: in the player's own partition, and with the period 0, which no
-- season has.
CREATE TABLE player (
    partition     smallint NOT NULL,                -- that of the user id
    user_id       text COLLATE "C" NOT NULL,
    display_name  text,                             -- null: none
    attributes    text NOT NULL,                    -- a JSON object of texts
    revision      bigint NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, user_id)
) WITH (fillfactor = 90);

-- Revisions of profiles. A deleted profile that comes back has another one than before.
CREATE SEQUENCE profile_revision;

-- A profile as Redis holds it. Neither part has a line break.
CREATE FUNCTION shown_profile(display_name text, attributes text) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT coalesce(display_name, '') || E'\n' || attributes $$;
