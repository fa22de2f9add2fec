"""The row of disk space: bytes of a submission and of a player in PostgreSQL."""

from __future__ import annotations

import itertools

from bench.load import closed_loop
from bench.rows.figures import Measure, Results
from bench.rows.submit import WARM_S
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from bench.system.totals import audit, read_totals, subtract
from ctl.http_client import Client

SEASON = "disk"
BATCH = 1_000
BATCHES = 20


def measure(options: RunOptions) -> Results:
    """``disk``: bytes of the ledger and of the write-ahead log per submission, of an idempotency key, and of the row of
    a player with its index."""
    with options.stack() as stack, stack.relays(), stack.api() as client:
        run_load(stack, options, WARM_S)
        stack.wait_until_empty()
        stack.checkpoint()
        held, log, ledger = read_totals(stack), read_wal_bytes(stack), read_table_bytes(stack, "ledger")
        done = run_load(stack, options, options.seconds)
        stack.wait_until_empty()
        found = subtract(held, read_totals(stack))
        figures = {
            "bytes": (read_table_bytes(stack, "ledger") - ledger) / max(1, found.ledger),
            "wal_bytes": (read_wal_bytes(stack) - log) / max(1, found.ledger),
            "player_bytes": read_table_bytes(stack, "score") / max(1, stack.value("SELECT count(*) FROM score")),
        }
        faults = audit(found, done.accepted, done.errors)
        faults += post_keyed(client)
        keys = stack.value("SELECT count(*) FROM idempotency")
        figures["key_bytes"] = read_table_bytes(stack, "idempotency") / max(1, keys)
        if keys != BATCH * BATCHES:
            faults.append(f"{keys} keys were kept of {BATCH * BATCHES}")
        checks = (f"{found.ledger:,} accepted are ledger rows", f"{keys:,} keys were kept")
        yield "disk", Measure(figures, () if faults else checks, tuple(faults))


def run_load(stack: Stack, options: RunOptions, seconds: int) -> closed_loop.LoadResult:
    """The load of the row ``post``, for `seconds`."""
    return closed_loop.post(
        stack.url, f"/v1/seasons/{SEASON}/scores", seconds=seconds, connections=options.connections, seed=options.seed,
        key=stack.settings.key,
    )  # fmt: skip


def post_keyed(client: Client) -> list[str]:
    """Send submissions with idempotency keys, as clients that retry do; returns the faults."""
    numbers = itertools.count()
    for _ in range(BATCHES):
        items = [
            {"userId": f"keyed-{n}", "delta": 1, "submissionId": f"00000000-0000-4000-8000-{n:012d}"}
            for n in itertools.islice(numbers, BATCH)
        ]
        status, body = client.ask("POST", f"/v1/seasons/{SEASON}/scores/batch", {"submissions": items})
        if status != 200:
            return [f"a batch with keys was answered {status}: {body[:100]!r}"]
    return []


def read_table_bytes(stack: Stack, table: str) -> int:
    """Bytes of a table, its partitions and its indexes."""
    query = (
        "SELECT pg_total_relation_size(%(table)s::regclass)"
        " + (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits"
        " WHERE inhparent = %(table)s::regclass)"
    )
    return int(stack.db.execute(query, {"table": table}).fetchone()[0])


def read_wal_bytes(stack: Stack) -> int:
    """Bytes of the write-ahead log since the start."""
    return int(stack.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))
