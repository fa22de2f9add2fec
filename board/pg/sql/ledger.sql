-- Ledger: create the next days and drop the oldest.

-- name: ledger_hold --
-- Before `ledger_prepare`, in its transaction: a day cannot be attached while its rows arrive in the default partition.
-- Normally no row goes there, so no submission waits for this lock.
LOCK TABLE ledger_default IN SHARE ROW EXCLUSIVE MODE

-- name: ledger_prepare --
SELECT ledger_prepare(%(ahead)s)

-- name: ledger_drop --
-- Drop the oldest day if it ended more than `days` days ago; 1 if it was dropped. One at a time: a drop locks the whole
-- ledger.
SELECT coalesce((
    SELECT ledger_drop(greatest(%(days)s::integer, (now() AT TIME ZONE 'UTC')::date - d.oldest - 1))
    FROM (
        SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) AS oldest
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'ledger'::regclass AND c.relname ~ '^ledger_[0-9]{8}$'
    ) AS d
    WHERE d.oldest < (now() AT TIME ZONE 'UTC')::date - %(days)s::integer
), 0)

-- name: ledger_sweep --
-- At most `limit` rows of the default partition that are older than `days` days: their day was not prepared in time.
DELETE FROM ledger_default WHERE ctid = ANY (ARRAY(
    SELECT l.ctid FROM ledger_default l
    WHERE l.accepted_at < ((now() AT TIME ZONE 'UTC')::date - %(days)s::integer) AT TIME ZONE 'UTC' LIMIT %(limit)s))
