"""Processor time of one request, by who spends it: workers, PostgreSQL, Redis, relays, and the generator of the load.

Throughput on a busy machine says little; the time that its processes were on a core for a request says much more.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Final

from bench.load import closed_loop
from bench.rows import formula_board
from bench.rows.figures import Measure, Results
from bench.rows.loaded_system import READS, WARM_S, Side
from bench.rows.read import SAMPLES
from bench.rows.submit import BATCH, BATCH_CONNECTIONS
from bench.system.processor_time import spent
from bench.system.run_options import Plan
from bench.system.totals import all_books, audit, since
from ctl.demo import Client

NAMES: Final = ("budget_post", "budget_batch", *(f"budget_{name}" for name in READS))


def measure(plan: Plan, wanted: Collection[str]) -> Results:
    """The rows that are wanted, all on one board."""
    with plan.stack() as stack:
        side = Side(plan, stack, 1, plan.players)
        side.fill()
        with side.running() as client:
            for name in READS:
                if f"budget_{name}" in wanted:
                    yield f"budget_{name}", read(side, name, client)
            for name, size in (("budget_post", 0), ("budget_batch", BATCH)):
                if name in wanted:
                    yield name, post(side, size)


def read(side: Side, name: str, client: Client) -> Measure:
    """One read."""
    side.get(name, WARM_S)
    before = spent(side.stack)
    done = side.get(name, side.plan.seconds)
    figures = spent(side.stack).each(before, done.answers)
    dice = random.Random(side.plan.seed)
    faults = [*side.faults]
    for _ in range(SAMPLES):
        faults += side.wrong(name, client, 0, dice.randrange(side.board.players))
    if done.errors or not done.answers:
        faults.append(f"{done.errors} of {done.answers} answers were errors")
    checks = (f"{SAMPLES} answers are right",)
    return Measure(figures | done.figures(), () if faults else checks, tuple(faults[:5]))


def post(side: Side, size: int) -> Measure:
    """New players, each in a request or `size` in one, until they are on the board."""
    stack, plan = side.stack, side.plan

    def submit(seconds: int) -> closed_loop.Load:
        return closed_loop.post(
            stack.url, f"/v1/seasons/{formula_board.SEASON}0/scores" + ("/batch" if size else ""), seconds=seconds,
            connections=BATCH_CONNECTIONS if size else plan.connections, seed=plan.seed, size=size,
            key=stack.settings.key,
        )  # fmt: skip

    submit(WARM_S)
    stack.until_empty()
    stack.checkpoint()
    held, before = all_books(stack), spent(stack)
    done = submit(plan.seconds)
    stack.until_empty()
    accepted = done.accepted * max(1, size)
    figures = spent(stack).each(before, accepted) | done.figures(plan.seconds)
    figures["per_s"] *= max(1, size)
    faults = [*side.faults, *audit(since(held, all_books(stack)), accepted, done.errors)]
    return Measure(figures, () if faults else (f"{accepted:,} accepted are ledger rows",), tuple(faults))
