-- The fence of the last commit and the run of PostgreSQL that drew it: "fence.epoch". Redis keeps the same text. A partition
-- whose two texts are equal needs no rebuild after a failover. A release without stamps leaves an older fence in it.
ALTER TABLE partition ADD COLUMN stamp text NOT NULL DEFAULT '';
