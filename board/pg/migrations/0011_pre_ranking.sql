-- Whether equal rows of a season share a rank (board/season.py, RANKINGS): 0 no, 1 yes. It travels with each batch.
ALTER TABLE season ADD COLUMN ranking smallint NOT NULL DEFAULT 0;
