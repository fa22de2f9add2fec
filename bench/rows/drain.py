"""The rows of draining: how fast relays empty an outbox with a backlog."""

from __future__ import annotations

import time
from typing import Final

from bench.rows.figures import Measure, Results
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from board.partitions import partition_of
from board.pg.connections import connect
from board.pg.queries import queries

BATCH: Final = 500
"""Scores and hints in one transaction, about as many as the intake of a busy worker gathers."""
SEASONS: Final = {"drain_1": 1, "drain_1000": 1_000}
"""Seasons of each row."""

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


def measure(options: RunOptions, name: str) -> Results:
    """One row. Each hint has another player; consecutive hints have different seasons.

    The relays are running, but a lock keeps them from every partition while the backlog is written. The time counts
    from the release of the lock, so it does not include the start of the processes.
    """
    seasons = [f"season-{number}" for number in range(SEASONS[name])]
    with options.stack() as stack, stack.relays():
        # The hints of new seasons are drained first, so that they are not part of the backlog.
        stack.db.execute(
            queries()["create_seasons"], {"seasons": seasons, "partitions": [partition_of(s) for s in seasons]}
        )
        stack.poke({partition_of(s) for s in seasons})
        stack.wait_until_empty()
        with connect(stack.settings.database_url, "leaderboard-bench", autocommit=False) as claims:
            claims.execute("SELECT FROM partition ORDER BY id FOR UPDATE")
            write_backlog(stack, len(seasons), options)
            stack.checkpoint()
            backlog = stack.count_hints()
            started = time.perf_counter()
            claims.commit()
            stack.poke({partition_of(s) for s in seasons})
            seconds = stack.wait_until_empty(started)
        faults = stack.find_differences()
        if backlog != options.hints:
            faults.append(f"the backlog had {backlog} hints, not {options.hints}")
        checks = (f"{backlog:,} hints applied", "PostgreSQL and Redis are consistent")
        figures = {"per_s": backlog / seconds, "seconds": seconds}
        yield name, Measure(figures, () if faults else checks, tuple(faults))


def write_backlog(stack: Stack, seasons: int, options: RunOptions) -> None:
    """Write `options.hints` scores, each with a hint, in transactions of `BATCH`."""
    count = options.hints
    for first in range(0, count, BATCH):
        options.progress("hints", first, count)
        numbers = {"first": first, "last": min(first + BATCH, count) - 1, "seasons": seasons}
        with stack.db.transaction():
            stack.db.execute(SCORES, numbers)
            stack.db.execute(HINTS, numbers)
    options.progress("hints", count, count)
