-- Ledger: create the next days and drop the oldest.

-- name: ledger_hold --
-- Before `ledger_prepare`, in its transaction: rows that arrive in the default partition while a day's rows move out of it
-- would make it impossible to attach that day. Nobody writes there otherwise, so nobody waits.
LOCK TABLE ledger_default IN SHARE ROW EXCLUSIVE MODE

-- name: ledger_prepare --
SELECT ledger_prepare(%(ahead)s)

-- name: ledger_drop --
-- The oldest day, if it ended more than `days` days ago; 1 if it went. One at a time: a drop locks the whole ledger.
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
-- A bounded bite out of the rows past their days that no day was ever made for: nobody prepared it in time.
DELETE FROM ledger_default WHERE ctid = ANY (ARRAY(
    SELECT l.ctid FROM ledger_default l
    WHERE l.accepted_at < ((now() AT TIME ZONE 'UTC')::date - %(days)s::integer) AT TIME ZONE 'UTC' LIMIT %(limit)s))
