"""The rows of live boards: how late listeners learn of a score, what they cost submissions, and their memory."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Final

import msgspec

from bench.load.audience import AudienceResult
from bench.load.open_loop import OpenLoad, listen_in_background, run_open_loop
from bench.load.open_loop_result import LAG_FLOOR_MS, LAG_SHARE
from bench.rows.figures import Measure, Results
from bench.rows.submit import run_load
from bench.system.processor_time import find_processes, read_processor_time
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from bench.system.totals import audit, read_totals

NAMES: Final = ("live_board", "live_boards", "live_posts", "live_idle")
SEASON: Final = "live"
BOARDS: Final = 100
"""Boards of ``live_boards``."""
MARKS: Final = 50.0
"""Marks per second, of all boards."""
POOL: Final = 1_000
FILES_KEPT: Final = 256
"""Open files of a worker and of the listeners' program besides the streams."""
IDLE_S: Final = 5.0


def measure(options: RunOptions, name: str) -> Results:
    """``live_board``, ``live_boards``: from sending a score until a listener has it, under an open-loop load.

    ``live_posts``: a closed loop of POSTs beside listeners, and without them. ``live_idle``: the memory of listeners.
    """
    work = {"live_posts": measure_posts, "live_idle": measure_idle}.get(name)
    yield name, measure_delay(options, BOARDS if name == "live_boards" else 1) if work is None else work(options)


def with_room(options: RunOptions, listeners: int) -> RunOptions:
    """The options with room for so many streams in each worker: the kernel decides which of them gets a connection."""
    room = {"streams": listeners, "connections": 2 * listeners}
    return msgspec.structs.replace(options, settings=msgspec.structs.replace(options.settings, **room))


def measure_delay(options: RunOptions, boards: int) -> Measure:
    """The time from before a score is sent until a listener has a list with it."""
    options = with_room(options, options.listeners)
    with options.stack() as stack, stack.relays(), stack.api():
        key = stack.settings.key
        load = OpenLoad(stack.url, SEASON, options.rate, options.seed, key=key, boards=boards)
        with listen_in_background(
            stack.url, SEASON, boards=boards, listeners=options.listeners, marks=MARKS, key=key
        ) as heard:
            done = run_open_loop(load, options.seconds)
            stack.wait_until_empty()
        (got,) = heard
        stack.wait_until_empty()
        faults = find_faults(got) + audit(
            read_totals(stack), done.accepted + got.marks - got.marks_refused, done.errors + got.marks_refused
        )
        if not done.accepted or not got.delays:
            faults.append("nothing was submitted, or nothing was heard")
        faults += stack.find_differences()
    figures = {
        "p50_ms": got.p50_ms,
        "p90_ms": got.p90_ms,
        "p99_ms": got.p99_ms,
        "max_ms": got.max_ms,
        "listeners": float(got.listeners),
        "boards": float(got.boards),
        "delivered_per_s": got.events / got.seconds,
        "offered_per_s": done.offered_per_s,
        "write_p50_ms": done.all.p50_ms,
        "write_p99_ms": done.all.p99_ms,
        "lag_p99_ms": got.lag_p99_ms,
        "listener_cores": got.cores,
        "errors": float(done.errors),
    }
    invalid = done.invalid()
    if not invalid and got.lag_p99_ms > max(LAG_FLOOR_MS, LAG_SHARE * got.p99_ms):
        invalid = f"the listeners lagged by {got.lag_p99_ms:.1f} ms (p99) behind delays of {got.p99_ms:.1f} ms"
    return Measure(figures, () if faults else checks(got), tuple(faults), invalid=invalid)


def measure_posts(options: RunOptions) -> Measure:
    """POSTs per second in a closed loop: without listeners, beside them, and again without."""
    options = with_room(options, options.listeners)
    faults: list[str] = []
    with options.stack() as stack, stack.relays(), stack.api():

        def post() -> float:
            stack.checkpoint()
            before = read_totals(stack).ledger
            done = run_load(stack, options, SEASON, options.seconds, POOL, 0)
            stack.wait_until_empty()
            faults.extend(audit(read_totals(stack), before + done.accepted, done.errors))
            return done.figures(options.seconds)["per_s"]

        first = post()
        with listen_in_background(
            stack.url, SEASON, boards=1, listeners=options.listeners, marks=0.0, key=stack.settings.key
        ) as heard:
            beside = post()
        (got,) = heard
        alone = (first + post()) / 2
        faults += find_faults(got) + stack.find_differences()
    figures = {
        "per_s": beside,
        "alone_per_s": alone,
        "share": beside / alone if alone else 0.0,
        "listeners": float(got.listeners),
        "delivered_per_s": got.events / got.seconds,
        "listener_cores": got.cores,
    }
    return Measure(figures, () if faults else checks(got), tuple(faults))


def measure_idle(options: RunOptions) -> Measure:
    """The memory of the workers for each listener of a board that rests, and their processor time meanwhile."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    listeners = options.idle_listeners
    notes = []
    if hard != resource.RLIM_INFINITY and listeners > hard - FILES_KEPT:
        listeners = max(1, hard - FILES_KEPT)
        notes.append(f"the limit of {hard:,} open files allows {listeners:,} listeners, not {options.idle_listeners:,}")
    options = with_room(options, listeners)
    with options.stack() as stack, stack.relays(), stack.api() as client:
        path = f"/v1/seasons/{SEASON}"
        statuses = [client.ask("POST", f"{path}/scores", {"userId": f"p{n}", "delta": n + 1})[0] for n in range(10)]
        stack.wait_until_empty()
        with listen_in_background(stack.url, SEASON, boards=1, listeners=1, marks=0.0, key=stack.settings.key):
            before = read_resident(stack)
        with listen_in_background(
            stack.url, SEASON, boards=1, listeners=listeners, marks=0.0, key=stack.settings.key
        ) as heard:
            after = read_resident(stack)
            used = read_processor_time(stack).worker
            time.sleep(IDLE_S)
            used = read_processor_time(stack).worker - used
            # Each of them has to get it, or its list is not the one of `top` in the end.
            statuses.append(client.ask("POST", f"{path}/scores", {"userId": "late", "delta": 1_000})[0])
            stack.wait_until_empty()
        (got,) = heard
        faults = find_faults(got) + audit(read_totals(stack), statuses.count(202), len(statuses) - statuses.count(202))
        faults += stack.find_differences()
    figures = {
        "bytes": (after - before) / listeners,
        "listeners": float(got.listeners),
        "idle_cores": used / IDLE_S,
        "events": float(got.events),
    }
    return Measure(figures, () if faults else checks(got), tuple(faults), tuple(notes))


def read_resident(stack: Stack) -> int:
    """Resident bytes of the API's processes."""
    pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in find_processes(stack)["worker"])
    return sum(map(int, pages)) * resource.getpagesize()


def find_faults(got: AudienceResult) -> list[str]:
    """What listeners lack."""
    faults = []
    if got.apart:
        faults.append(f"{got.apart:,} listeners have another list than top answers; {got.first_apart}")
    if got.refused or got.ended:
        faults.append(f"{got.refused:,} streams were refused, {got.ended:,} ended; {got.first_refused}")
    if got.marks_refused:
        faults.append(f"{got.marks_refused:,} of {got.marks:,} marks were refused")
    return faults


def checks(got: AudienceResult) -> tuple[str, ...]:
    """The promises that were kept where there are no faults."""
    return (
        f"{got.listeners:,} listeners have the list that top answers",
        "every accepted write is one ledger row",
        "PostgreSQL and Redis are consistent",
    )
