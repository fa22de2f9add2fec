-- Who may do what. A key's secret is not here, only its SHA-256.
CREATE TABLE api_key (
    id          text COLLATE "C" PRIMARY KEY,
    digest      bytea NOT NULL CHECK (length(digest) = 32),
    name        text NOT NULL,
    scopes      text[] NOT NULL,
    seasons     text[],                          -- null: all
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz,
    rotated_at  timestamptz,                     -- it has a successor, and is valid until expires_at beside it
    successor   text COLLATE "C"
);

-- Rises with every change of api_key, whoever makes it. The update locks the row until the change is committed, so
-- whoever reads a number also sees every change up to it: what a sequence could not promise.
CREATE TABLE access (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    version  bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 20);
INSERT INTO access DEFAULT VALUES;

CREATE FUNCTION access_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %I.access SET version = version + 1', TG_TABLE_SCHEMA);
    RETURN NULL;
END $$;
CREATE TRIGGER access_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_key
    FOR EACH STATEMENT EXECUTE FUNCTION access_changed();
