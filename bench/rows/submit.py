"""POST: submissions committed in PostgreSQL while relays carry them to Redis."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from bench.load import closed_loop
from bench.rows.figures import Measure
from bench.system.run_options import Plan, Results
from bench.system.stack import Stack
from board.config.settings import Settings

POOL: Final = 1_000
QUOTA: Final = 1_000_000
"""More a second than anybody sends: checked each time, never used up."""
WARM_S: Final = 1
BATCH: Final = 1_000
BATCH_CONNECTIONS: Final = 8


class Books(msgspec.Struct, frozen=True):
    """What PostgreSQL holds of a season: rows and sum of deltas of the ledger, submissions and sum of the scores."""

    ledger: int
    delta: int
    submissions: int
    score: int


def books(stack: Stack, season: str) -> Books:
    """Read the books of a season."""
    row = stack.db.execute(
        "WITH p AS (SELECT period_id FROM season WHERE season_id = %s) SELECT"
        " (SELECT count(*) FROM ledger l JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(delta), 0) FROM ledger l JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(submissions), 0) FROM score s JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(score), 0) FROM score s JOIN p USING (period_id))",
        (season,),
    ).fetchone()
    return Books(*(int(n) for n in row))


def audit(held: Books, accepted: int, errors: int) -> list[str]:
    """What is wrong with the books when clients were told of that many accepted submissions.

    A request without a good answer is a fault of its own, since it may have been written or not; so is no request.
    """
    faults = []
    if errors or not accepted:
        faults.append(f"{accepted} submissions were accepted, {errors} got an error or no answer")
    if not accepted <= held.ledger <= accepted + errors:
        faults.append(f"the ledger has {held.ledger} rows, clients saw {accepted} accepted and {errors} errors")
    if held.submissions != held.ledger or held.score != held.delta:
        faults.append(
            f"scores hold {held.submissions} submissions and the sum {held.score}, "
            f"the ledger {held.ledger} and {held.delta}"
        )
    return faults


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
