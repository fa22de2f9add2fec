"""Drain: how fast relays empty an outbox that has piled up."""

from __future__ import annotations

import time
from typing import Final

from bench.rows.figures import Measure, Results
from bench.system.run_options import Plan
from bench.system.stack import Stack
from board.pg.session import connect, queries
from board.redis.keyspace import partition_of

BATCH: Final = 500
"""Scores and hints in one transaction, about what a busy worker's intake gathers."""
SEASONS: Final = {"drain_1": 1, "drain_1000": 1_000}

SCORES: Final = """
INSERT INTO score (period_id, user_id, score, reached, submissions)
SELECT s.period_id, 'player-' || n, n %% 1000 + 1, nextval('submission'), 1
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
JOIN season s ON s.season_id = 'season-' || n %% %(seasons)s
"""
HINTS: Final = """
INSERT INTO outbox (partition, period_id, user_id)
SELECT s.partition, s.period_id, 'player-' || n
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
JOIN season s ON s.season_id = 'season-' || n %% %(seasons)s
"""


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
            pile_up(stack, len(seasons), plan)
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


def pile_up(stack: Stack, seasons: int, plan: Plan) -> None:
    """Write that many scores, each with its hint, in transactions of the size the service's intake makes them."""
    count = plan.hints
    for first in range(0, count, BATCH):
        plan.tell("hints", first, count)
        numbers = {"first": first, "last": min(first + BATCH, count) - 1, "seasons": seasons}
        with stack.db.transaction():
            stack.db.execute(SCORES, numbers)
            stack.db.execute(HINTS, numbers)
    plan.tell("hints", count, count)
