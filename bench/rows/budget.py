"""Processor time of one request, by who spends it: workers, PostgreSQL, Redis, relays, and the generator of the load.

Throughput on a busy machine says little; the time that its processes were on a core for a request says much more.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec

from bench.load import closed_loop
from bench.rows import formula_board
from bench.rows.figures import Measure
from bench.rows.loaded_system import READS, WARM_S, Side, books
from bench.rows.open_loop import since
from bench.rows.read import SAMPLES
from bench.rows.submit import BATCH, BATCH_CONNECTIONS, audit
from bench.system.run_options import Plan, Results
from bench.system.stack import Stack
from ctl.demo import Client

NAMES: Final = ("budget_post", "budget_batch", *(f"budget_{name}" for name in READS))
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Spent(msgspec.Struct, frozen=True):
    """Seconds on a core, so far."""

    worker: float
    postgres: float
    redis: float
    relay: float
    generator: float

    def each(self, before: Spent, requests: int) -> dict[str, float]:
        """Microseconds of a request since `before`; `us` is without the generator."""
        pairs = zip(self.__struct_fields__, msgspec.structs.astuple(self), msgspec.structs.astuple(before), strict=True)
        figures = {f"{name}_us": (now - then) * 1e6 / max(1, requests) for name, now, then in pairs}
        return {"us": sum(figures.values()) - figures["generator_us"], **figures}


def spent(stack: Stack) -> Spent:
    """What all processes of a stack have used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(
        **{name: sum(map(seconds_of, pids)) for name, pids in processes(stack).items()},
        generator=children.ru_utime + children.ru_stime,
    )


def processes(stack: Stack) -> dict[str, set[int]]:
    """The processes of a stack by what they are: worker, relay, postgres, redis."""
    parents = dict(parents_of())
    mine = {pid: commandline(pid) for pid, parent in parents.items() if parent == os.getpid()}
    roots = {
        "worker": [pid for pid, argv in mine.items() if b"serve" in argv],
        "relay": [pid for pid, argv in mine.items() if b"relay" in argv],
        "postgres": [parents[stack.db.info.backend_pid]],
        "redis": [redis_pid(stack)],
    }
    return {name: tree(parents, pids) for name, pids in roots.items()}


def parents_of() -> Iterator[tuple[int, int]]:
    """Every process with its parent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def seconds_of(pid: int) -> float:
    """Time on a core of a process and of its children that have ended; 0 for one that has gone."""
    fields = stat(pid)
    return sum(int(field) for field in fields[11:15]) / TICKS if fields else 0.0


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none for a process that has gone (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def commandline(pid: int) -> list[bytes]:
    """Its arguments; none for one that has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def redis_pid(stack: Stack) -> int:
    """The server's process, as it says itself."""
    text = stack.link.call("INFO", "server").decode()
    return int(next(line for line in text.splitlines() if line.startswith("process_id:")).partition(":")[2])


def tree(parents: dict[int, int], roots: list[int]) -> set[int]:
    """These processes and all below them."""
    found = set(roots)
    while below := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= below
    return found


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
    held, before = books(stack), spent(stack)
    done = submit(plan.seconds)
    stack.until_empty()
    accepted = done.accepted * max(1, size)
    figures = spent(stack).each(before, accepted) | done.figures(plan.seconds)
    figures["per_s"] *= max(1, size)
    faults = [*side.faults, *audit(since(held, books(stack)), accepted, done.errors)]
    return Measure(figures, () if faults else (f"{accepted:,} accepted are ledger rows",), tuple(faults))
