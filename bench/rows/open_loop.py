"""Fixed rates of arrivals: reads and writes mixed at 70 % of the peak, and p99 of POST over the rate."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from bench.load import closed_loop
from bench.load.open_loop import Offer, offer
from bench.load.open_loop_result import Paced, knee
from bench.rows.figures import Measure, Results
from bench.rows.read import PATH, SAMPLES, SEASON, fill, ranked, wrong_rank
from bench.system.run_options import Plan
from bench.system.stack import Stack
from bench.system.totals import Books, audit, books, since
from board.errors import ChildFailed
from ctl.demo import Client

READS: Final = 80
OF_PEAK: Final = 0.7
STEPS: Final = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)
"""Of the closed loop's rate: the knee lies below it, for a closed loop waits where an open one goes on."""
PLAYER: Final = "player-"


def mixed(plan: Plan) -> Results:
    """80 % reads of a rank and 20 % writes, of random players of a board, at 70 % of their closed loop's rate."""
    with plan.stack() as stack:
        fill(stack, plan)
        stack.call("rebuild", "--season", SEASON)
        with stack.relays(), stack.api() as client:
            peak = closed_loop.mixed(
                stack.url, SEASON, seconds=max(2, plan.seconds // 2), connections=plan.connections,
                seed=plan.seed, reads=READS, pool=plan.players, key=stack.settings.key,
            )  # fmt: skip
            faults = [f"{peak.errors} errors at the peak"] if peak.errors else []
            rate = OF_PEAK * peak.accepted / (peak.duration_us / 1e6 - closed_loop.TAIL_S)
            stack.until_empty()
            stack.checkpoint()
            before = books(stack, SEASON)
            what = Offer(stack.url, SEASON, rate, plan.seed, READS, PLAYER, plan.players, stack.settings.key)
            done = offer(what, plan.seconds)
            stack.until_empty()
            faults += audit(since(before, books(stack, SEASON)), done.written, done.errors)
            faults += stack.unequal() + wrong_ranks(stack, plan, client)
            checks = (
                f"{done.written:,} accepted writes are ledger rows",
                f"{SAMPLES} ranks after it are PostgreSQL's",
                "PostgreSQL and Redis are equal",
            )
            invalid = done.invalid()
            yield (
                "mixed",
                Measure(
                    figures_of(done) | {"read_p99_ms": done.reads.p99_ms, "peak_per_s": rate / OF_PEAK},
                    () if faults else checks,
                    tuple(faults),
                    curves={"latency, 80 % reads at 70 % of the peak": done.all.curve},
                    hdr={"mixed": done.all.hdr},
                    invalid=invalid,
                ),
            )


def curve(plan: Plan) -> Results:
    """p99 of POST at rising rates, and the knee: the last rate up to which p99 stays within five times the lowest."""
    seconds = max(2, plan.seconds // 2)
    with plan.stack() as stack, stack.relays(), stack.api():
        path = "/v1/seasons/peak/scores"
        peak = closed_loop.post(
            stack.url,
            path,
            seconds=seconds,
            connections=plan.connections,
            seed=plan.seed,
            pool=10_000,
            key=stack.settings.key,
        )
        top = peak.figures(seconds)["per_s"]
        found: list[tuple[float, float]] = []
        faults: list[str] = []
        notes: list[str] = []
        for number, step in enumerate(STEPS):
            stack.until_empty()
            stack.checkpoint()
            season = f"step-{number}"
            done = offer(Offer(stack.url, season, step * top, plan.seed, key=stack.settings.key), seconds)
            stack.until_empty()
            errors = done.errors
            if step < OF_PEAK or not errors:
                faults += audit(books(stack, season), done.accepted, errors)
            else:
                # Past the knee the bounded queue refuses: that is its job, and the books must still agree.
                faults += lost(books(stack, season), done)
                notes.append(f"at {done.offered_per_s:,.0f}/s {errors} of {done.offered} got no good answer")
            if reason := done.invalid():
                notes.append(f"the step at {done.rate:,.0f}/s is left out: {reason}")
            else:
                found.append((done.offered_per_s, done.all.p99_ms))
        faults += stack.unequal()
        at = knee(found)
        if at is None:
            yield "curve", Measure({"per_s": 0.0}, (), tuple(faults), tuple(notes), invalid="no step was valid")
            return
        figures = {"per_s": at, "p99_ms": dict(found)[at], "peak_per_s": top}
        checks = ("every accepted write of every step is one ledger row", "PostgreSQL and Redis are equal")
        yield (
            "curve",
            Measure(
                figures, () if faults else checks, tuple(faults), tuple(notes), curves={"p99 of POST by rate": found}
            ),
        )


def lost(held: Books, done: Paced) -> list[str]:
    """What is wrong with the books where some requests were refused."""
    return [fault for fault in audit(held, done.accepted, done.errors) if "no answer" not in fault]


def figures_of(done: Paced) -> dict[str, float]:
    """What all open-loop rows show."""
    return {
        "p50_ms": done.all.p50_ms,
        "p90_ms": done.all.p90_ms,
        "p99_ms": done.all.p99_ms,
        "p999_ms": done.all.p999_ms,
        "max_ms": done.all.max_ms,
        "offered_per_s": done.offered_per_s,
        "write_p99_ms": done.writes.p99_ms,
        "lag_p99_ms": done.lag_p99_ms,
        "errors": float(done.errors),
    }


def wrong_ranks(stack: Stack, plan: Plan, client: Client) -> list[str]:
    """Random players' ranks beside PostgreSQL's order, once nothing moves."""
    truth = ranked(stack)
    dice = random.Random(plan.seed)
    wrong = []
    for _ in range(SAMPLES):
        user = f"{PLAYER}{dice.randrange(plan.players)}"
        status, body = client.ask("GET", f"{PATH}/rank?userId={user}")
        if status != 200:
            raise ChildFailed(f"rank of {user} answers {status}")
        if fault := wrong_rank(truth, user, msgspec.json.decode(body)):
            wrong.append(fault)
    return wrong[:3]
