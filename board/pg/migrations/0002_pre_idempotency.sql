-- Answers to submissions that came with an idempotency key. Written in the statement that writes the score, so a key
-- is there exactly when its submission counts.
CREATE TABLE idempotency (
    digest       uuid PRIMARY KEY,              -- of season and key
    print        uuid NOT NULL,                 -- of what was asked: player and delta
    score        bigint NOT NULL,
    version      bigint NOT NULL,
    accepted_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX idempotency_age ON idempotency (accepted_at);
