"""The open-loop rows: reads and writes mixed at 70 % of the peak, and p99 of POST over the rate."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from bench.load import closed_loop
from bench.load.open_loop import OpenLoad, run_open_loop
from bench.load.open_loop_result import OpenLoopResult, find_knee
from bench.rows.figures import Measure, Results
from bench.rows.read import PATH, SAMPLES, SEASON, check_rank, fill_board, read_order
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from bench.system.totals import Totals, audit, read_season_totals, subtract
from board.errors import ChildFailed
from ctl.http_client import Client

READS: Final = 80
"""Percent of reads in ``mixed``."""
OF_PEAK: Final = 0.7
"""Rate of ``mixed``, as a share of the rate of a closed loop."""
STEPS: Final = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)
"""Rates of ``curve``, as shares of the rate of a closed loop. The knee lies below 1, since a closed loop waits where an
open loop goes on."""
PLAYER: Final = "player-"


def measure_mixed(options: RunOptions) -> Results:
    """``mixed``: 80 % reads of a rank and 20 % writes, for random players, at 70 % of the rate of a closed loop."""
    with options.stack() as stack:
        fill_board(stack, options)
        stack.run_command("rebuild", "--season", SEASON)
        with stack.relays(), stack.api() as client:
            peak = closed_loop.get_and_post(
                stack.url, SEASON, seconds=max(2, options.seconds // 2), connections=options.connections,
                seed=options.seed, reads=READS, pool=options.players, key=stack.settings.key,
            )  # fmt: skip
            faults = [f"{peak.errors} errors at the peak"] if peak.errors else []
            rate = OF_PEAK * peak.accepted / (peak.duration_us / 1e6 - closed_loop.TAIL_S)
            stack.wait_until_empty()
            stack.checkpoint()
            before = read_season_totals(stack, SEASON)
            load = OpenLoad(stack.url, SEASON, rate, options.seed, READS, PLAYER, options.players, stack.settings.key)
            done = run_open_loop(load, options.seconds)
            stack.wait_until_empty()
            faults += audit(subtract(before, read_season_totals(stack, SEASON)), done.written, done.errors)
            faults += stack.find_differences() + check_ranks(stack, options, client)
            checks = (
                f"{done.written:,} accepted writes are ledger rows",
                f"{SAMPLES} ranks afterwards are those of PostgreSQL",
                "PostgreSQL and Redis are consistent",
            )
            invalid = done.invalid()
            yield (
                "mixed",
                Measure(
                    done.figures() | {"read_p99_ms": done.reads.p99_ms, "peak_per_s": rate / OF_PEAK},
                    () if faults else checks,
                    tuple(faults),
                    curves={"latency, 80 % reads at 70 % of the peak": done.all.curve},
                    hdr={"mixed": done.all.hdr},
                    invalid=invalid,
                ),
            )


def measure_curve(options: RunOptions) -> Results:
    """``curve``: p99 of POST at rising rates, and the knee, by `find_knee`."""
    seconds = max(2, options.seconds // 2)
    with options.stack() as stack, stack.relays(), stack.api():
        path = "/v1/seasons/peak/scores"
        peak = closed_loop.post(
            stack.url,
            path,
            seconds=seconds,
            connections=options.connections,
            seed=options.seed,
            pool=10_000,
            key=stack.settings.key,
        )
        top = peak.figures(seconds)["per_s"]
        found: list[tuple[float, float]] = []
        drawn: list[tuple[float, float | None]] = []
        faults: list[str] = []
        notes: list[str] = []
        for number, step in enumerate(STEPS):
            stack.wait_until_empty()
            stack.checkpoint()
            season = f"step-{number}"
            done = run_open_loop(OpenLoad(stack.url, season, step * top, options.seed, key=stack.settings.key), seconds)
            stack.wait_until_empty()
            errors = done.errors
            if step < OF_PEAK or not errors:
                faults += audit(read_season_totals(stack, season), done.accepted, errors)
            else:
                # Past the knee the bounded queue refuses requests; the totals must agree nevertheless.
                faults += audit_refused(read_season_totals(stack, season), done)
                notes.append(f"at {done.offered_per_s:,.0f}/s {errors} of {done.offered} got no good answer")
            if reason := done.invalid():
                notes.append(f"the step at {done.rate:,.0f}/s is left out: {reason}")
                drawn.append((done.offered_per_s, None))
            else:
                found.append((done.offered_per_s, done.all.p99_ms))
                drawn.append(found[-1])
        faults += stack.find_differences()
        at = find_knee(found)
        if at is None:
            yield "curve", Measure({"per_s": 0.0}, (), tuple(faults), tuple(notes), invalid="no step was valid")
            return
        figures = {"per_s": at, "p99_ms": dict(found)[at], "peak_per_s": top}
        checks = ("every accepted write of every step is one ledger row", "PostgreSQL and Redis are consistent")
        yield (
            "curve",
            Measure(
                figures, () if faults else checks, tuple(faults), tuple(notes), curves={"p99 of POST by rate": drawn}
            ),
        )


def audit_refused(held: Totals, done: OpenLoopResult) -> list[str]:
    """The faults of `audit` for a step in which some requests were refused, without those refusals."""
    return [fault for fault in audit(held, done.accepted, done.errors) if "no answer" not in fault]


def check_ranks(stack: Stack, options: RunOptions, client: Client) -> list[str]:
    """Compare the ranks of random players with the order of PostgreSQL, when no load is running; returns the faults."""
    truth = read_order(stack)
    dice = random.Random(options.seed)
    wrong = []
    for _ in range(SAMPLES):
        user = f"{PLAYER}{dice.randrange(options.players)}"
        status, body = client.ask("GET", f"{PATH}/rank?userId={user}")
        if status != 200:
            raise ChildFailed(f"rank of {user} answers {status}")
        if fault := check_rank(truth, (user,), msgspec.json.decode(body)):
            wrong.append(fault)
    return wrong[:3]
