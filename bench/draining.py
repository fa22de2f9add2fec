"""Drain: how fast relays empty an outbox that has piled up."""

from __future__ import annotations

import time
from typing import Any, Final

from _speedups import pack_int8_array, pack_text_array
from bench.figures import Measure
from bench.plan import Plan, Results
from bench.stack import Stack
from board.keys import partition_of
from board.sql import Int8Array, TextArray, adapt_arrays, connect, queries

BATCH: Final = 500
"""Submissions in one statement, about what a busy worker's intake gathers."""
SEASONS: Final = {"drain_1": 1, "drain_1000": 1_000}


def measure(plan: Plan, name: str) -> Results:
    """One row. Every hint is of another player; neighbours in the outbox are of different seasons.

    The relays are up but locked out of every partition while the backlog is made; the time runs from the moment the
    lock is given up, so the start of their processes is not in it.
    """
    seasons = [f"season-{number}" for number in range(SEASONS[name])]
    with plan.stack() as stack, stack.relays():
        # Created before, so that their own hints are not part of the backlog.
        stack.db.execute(
            queries()["create_seasons"], {"seasons": seasons, "partitions": [partition_of(s) for s in seasons]}
        )
        stack.poke({partition_of(s) for s in seasons})
        stack.until_empty()
        with connect(stack.settings.database_url, "leaderboard-bench", autocommit=False) as claims:
            claims.execute("SELECT FROM partition ORDER BY id FOR UPDATE")
            submit(stack, seasons, plan.hints)
            stack.checkpoint()
            backlog = stack.pending()
            started = time.perf_counter()
            claims.commit()
            stack.poke({partition_of(s) for s in seasons})
            seconds = stack.until_empty(started)
        faults = stack.unequal()
        if backlog != plan.hints:
            faults.append(f"the backlog had {backlog} hints, not {plan.hints}")
        checks = (f"{backlog:,} hints carried", "PostgreSQL and Redis are equal")
        figures = {"per_s": backlog / seconds, "seconds": seconds}
        yield name, Measure(figures, () if faults else checks, tuple(faults))


def submit(stack: Stack, seasons: list[str], count: int) -> None:
    """Write that many submissions with the statement of the service's intake."""
    session = {"enable_nestloop": "off", "jit": "off", "plan_cache_mode": "force_generic_plan"}
    with connect(stack.settings.database_url, "leaderboard-bench", session=session) as db:
        adapt_arrays(db)
        cursor: Any = db.cursor(binary=True)
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            parameters = {
                "seasons": TextArray(pack_text_array([seasons[n % len(seasons)] for n in numbers])),
                "users": TextArray(pack_text_array([f"player-{n}" for n in numbers])),
                "deltas": Int8Array(pack_int8_array([n % 1_000 + 1 for n in numbers])),
            }
            cursor.execute(queries()["submit"], parameters, prepare=True)
