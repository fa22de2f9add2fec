"""POST: submissions committed in PostgreSQL while relays carry them to Redis."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from bench.load import closed_loop
from bench.rows.figures import Measure, Results
from bench.system.run_options import Plan
from bench.system.stack import Stack
from bench.system.totals import audit, books
from board.config.settings import Settings

POOL: Final = 1_000
QUOTA: Final = 1_000_000
"""More a second than anybody sends: checked each time, never used up."""
WARM_S: Final = 1
BATCH: Final = 1_000
BATCH_CONNECTIONS: Final = 8


def measure(plan: Plan, name: str) -> Results:
    """One row: ``post`` has a new player each time, ``post_hot`` a pool of 1,000, ``batch`` 1,000 in a request.

    The others: see `guarded`.
    """
    plan = msgspec.structs.replace(plan, settings=guarded(plan.settings, name))
    pool = POOL if name == "post_hot" else 0
    size = BATCH if name == "batch" else 0
    with plan.stack() as stack, stack.relays(), stack.api():
        post(stack, plan, "warm", WARM_S, pool, size)
        stack.until_empty()
        stack.checkpoint()
        end = End(stack)
        done = post(stack, plan, "measured", plan.seconds, pool, size, end)
        faults = audit(books(stack, "measured"), done.accepted * max(1, size), done.errors)
        faults += stack.unequal()
        figures = done.figures(plan.seconds) | {"backlog": end.backlog, "empty_ms": end.empty_s * 1000}
        figures["per_s"] *= max(1, size)
        accepted = done.accepted * max(1, size)
        checks = (f"{accepted:,} accepted are {accepted:,} ledger rows", "PostgreSQL and Redis are equal")
        yield name, Measure(figures, () if faults else checks, tuple(faults))


def guarded(settings: Settings, name: str) -> Settings:
    """``post_keys`` wants a key, ``post_limited`` checks limits too; the other rows run as the run does."""
    if name == "post_keys":
        return msgspec.structs.replace(settings, auth="keys")
    if name == "post_limited":
        limits = {"limit_key": QUOTA, "limit_player": QUOTA, "limit_window_s": 1}
        return msgspec.structs.replace(settings, auth="keys", **limits)
    return settings


class End:
    """Looks at the outbox in the moment the sending ends: hints left, and seconds until there are none."""

    def __init__(self, stack: Stack) -> None:
        self.stack: Final = stack
        self.backlog = 0
        self.empty_s = 0.0

    def __call__(self) -> None:
        started = time.perf_counter()
        self.backlog = self.stack.pending()
        self.empty_s = self.stack.until_empty(started)


def post(
    stack: Stack, plan: Plan, season: str, seconds: int, pool: int, size: int, at_end: End | None = None
) -> closed_loop.Load:
    """Load one season."""
    return closed_loop.post(
        stack.url,
        f"/v1/seasons/{season}/scores" + ("/batch" if size else ""),
        seconds=seconds,
        connections=BATCH_CONNECTIONS if size else plan.connections,
        seed=plan.seed,
        pool=pool,
        size=size,
        at_end=at_end or closed_loop.nothing,
        key=stack.settings.key,
    )
