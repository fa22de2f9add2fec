"""The rows of processor time: the time on a core of one request, by kind of process.

It says more than throughput on a machine on which other programs run.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Final

from bench.load import closed_loop
from bench.rows import formula_board
from bench.rows.figures import Measure, Results
from bench.rows.loaded_system import READS, WARM_S, LoadedSystem
from bench.rows.read import SAMPLES
from bench.rows.submit import BATCH, BATCH_CONNECTIONS
from bench.system.processor_time import read_processor_time
from bench.system.run_options import RunOptions
from bench.system.totals import audit, read_totals, subtract
from ctl.http_client import Client

NAMES: Final = ("budget_post", "budget_batch", *(f"budget_{name}" for name in READS))


def measure(options: RunOptions, wanted: Collection[str]) -> Results:
    """The rows in `wanted`, all on one board."""
    with options.stack() as stack:
        system = LoadedSystem(options, stack, 1, options.players)
        system.load()
        with system.running() as client:
            for name in READS:
                if f"budget_{name}" in wanted:
                    yield f"budget_{name}", measure_read(system, name, client)
            for name, size in (("budget_post", 0), ("budget_batch", BATCH)):
                if name in wanted:
                    yield name, measure_post(system, size)


def measure_read(system: LoadedSystem, name: str, client: Client) -> Measure:
    """``budget_rank`` and the other reads: `name` is the read. A random sample of answers is checked."""
    system.run_reads(name, WARM_S)
    before = read_processor_time(system.stack)
    done = system.run_reads(name, system.options.seconds)
    figures = read_processor_time(system.stack).per_request(before, done.answers)
    dice = random.Random(system.options.seed)
    faults = [*system.faults]
    for _ in range(SAMPLES):
        faults += system.check_answer(name, client, 0, dice.randrange(system.board.players))
    if done.errors or not done.answers:
        faults.append(f"{done.errors} of {done.answers} answers were errors")
    checks = (f"{SAMPLES} answers are right",)
    return Measure(figures | done.figures(), () if faults else checks, tuple(faults[:5]))


def measure_post(system: LoadedSystem, size: int, seasons: int = 0) -> Measure:
    """``budget_post`` (`size` 0), ``budget_batch``: new players, measured until the relays are idle.

    They are of one season, or of a random one of `seasons` each time.
    """
    stack, options = system.stack, system.options
    path = f"/v1/seasons/{formula_board.SEASON}{'%d' if seasons else 0}/scores" + ("/batch" if size else "")

    def submit(seconds: int) -> closed_loop.LoadResult:
        return closed_loop.post(
            stack.url, path, seconds=seconds, connections=BATCH_CONNECTIONS if size else options.connections,
            seed=options.seed, size=size, seasons=seasons, key=stack.settings.key,
        )  # fmt: skip

    submit(WARM_S)
    stack.wait_until_empty()
    stack.checkpoint()
    held, before = read_totals(stack), read_processor_time(stack)
    done = submit(options.seconds)
    stack.wait_until_empty()
    accepted, errors = done.count_submissions(max(1, size))
    figures = read_processor_time(stack).per_request(before, accepted) | done.figures(options.seconds)
    figures["per_s"] *= max(1, size)
    faults = [*system.faults, *audit(subtract(held, read_totals(stack)), accepted, errors)]
    return Measure(figures, () if faults else (f"{accepted:,} accepted are ledger rows",), tuple(faults))
