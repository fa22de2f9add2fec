"""What a submission and a player leave on PostgreSQL's disk."""

from __future__ import annotations

import itertools

from bench.load import closed_loop
from bench.rows.figures import Measure, Results
from bench.rows.submit import WARM_S
from bench.system.run_options import Plan
from bench.system.stack import Stack
from bench.system.totals import all_books, audit, since
from ctl.demo import Client

SEASON = "disk"
BATCH = 1_000
BATCHES = 20


def measure(plan: Plan) -> Results:
    """``disk``: bytes of the ledger and of the write-ahead log for a submission, of the key of a submission that has
    one, of a player's row with its index."""
    with plan.stack() as stack, stack.relays(), stack.api() as client:
        post(stack, plan, WARM_S)
        stack.until_empty()
        stack.checkpoint()
        held, log, ledger = all_books(stack), written(stack), size(stack, "ledger")
        done = post(stack, plan, plan.seconds)
        stack.until_empty()
        found = since(held, all_books(stack))
        figures = {
            "bytes": (size(stack, "ledger") - ledger) / max(1, found.ledger),
            "wal_bytes": (written(stack) - log) / max(1, found.ledger),
            "player_bytes": size(stack, "score") / max(1, stack.value("SELECT count(*) FROM score")),
        }
        faults = audit(found, done.accepted, done.errors)
        faults += keyed(client)
        keys = stack.value("SELECT count(*) FROM idempotency")
        figures["key_bytes"] = size(stack, "idempotency") / max(1, keys)
        if keys != BATCH * BATCHES:
            faults.append(f"{keys} keys were kept of {BATCH * BATCHES}")
        checks = (f"{found.ledger:,} accepted are ledger rows", f"{keys:,} keys were kept")
        yield "disk", Measure(figures, () if faults else checks, tuple(faults))


def post(stack: Stack, plan: Plan, seconds: int) -> closed_loop.Load:
    """The load of the row ``post``."""
    return closed_loop.post(
        stack.url, f"/v1/seasons/{SEASON}/scores", seconds=seconds, connections=plan.connections, seed=plan.seed,
        key=stack.settings.key,
    )  # fmt: skip


def keyed(client: Client) -> list[str]:
    """Submissions with names of their own, as clients that retry send them; what was refused."""
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


def size(stack: Stack, table: str) -> int:
    """Bytes of a table, its days and its indexes."""
    query = (
        "SELECT pg_total_relation_size(%(table)s::regclass)"
        " + (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits"
        " WHERE inhparent = %(table)s::regclass)"
    )
    return int(stack.db.execute(query, {"table": table}).fetchone()[0])


def written(stack: Stack) -> int:
    """Bytes of write-ahead log so far."""
    return int(stack.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))
