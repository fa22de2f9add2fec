"""Visible: from sending a POST until the player's rank shows it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from bench import pacer
from bench.figures import Measure, percentile
from bench.plan import Plan, Results
from bench.posting import audit, books
from bench.stack import REPOSITORY, Stack
from board.children import spawn, terminate
from board.errors import ChildFailed
from ctl.demo import Client

SEASON: Final = "visible"
PATH: Final = f"/v1/seasons/{SEASON}"
GIVE_UP_S: Final = 10.0
PAUSE_S: Final = (0.005, 0.055)
"""Between samples: spread over more than the relays' idle interval, so that samples do not fall in step with it."""


def measure(plan: Plan, wanted: Collection[str]) -> Results:
    """``visible_idle`` and ``visible_busy``."""
    dice = random.Random(plan.seed)
    with plan.stack() as stack, stack.relays(), stack.api() as client:
        first_sample(client)
        checks = (f"{plan.samples} samples", "PostgreSQL and Redis are equal")
        if "visible_idle" in wanted:
            seen = sampled(client, plan.samples, dice, "idle")
            faults = seen.faults + stack.unequal()
            yield "visible_idle", Measure(seen.figures(), () if faults else checks, tuple(faults))
        if "visible_busy" not in wanted:
            return
        stack.checkpoint()
        before = books(stack, SEASON).ledger
        with background(stack, plan) as paced:
            seen = sampled(client, plan.samples, dice, "busy")
        done = paced[0]
        stack.until_empty()
        accepted = before + seen.accepted + done.accepted
        errors = plan.samples - seen.accepted + done.refused + done.broken
        faults = seen.faults + audit(books(stack, SEASON), accepted, errors) + stack.unequal()
        if not done.accepted:
            faults.append("there were no background writes")
        figures = seen.figures() | {
            "offered_per_s": done.offered_per_s,
            "write_p50_ms": done.p50_ms,
            "write_p99_ms": done.p99_ms,
            "errors": float(done.refused + done.broken),
        }
        notes: tuple[str, ...] = ()
        if done.offered_per_s < 0.95 * plan.rate:
            notes = (f"only {done.offered_per_s:,.0f} writes/s could be offered of {plan.rate:,}",)
        found = (f"{plan.samples} samples, {done.accepted:,} background writes in the ledger", checks[-1])
        yield "visible_busy", Measure(figures, () if faults else found, tuple(faults), notes)


def first_sample(client: Client) -> None:
    """Opens the season and the connections; not counted."""
    if fault := sample(client, "first").fault:
        raise ChildFailed(f"the first submission did not become visible: {fault}")


class Seen(msgspec.Struct, frozen=True):
    """Samples: ms until visible, ms of the POST alone, POSTs accepted, and what went wrong."""

    visible_ms: list[float]
    posted_ms: list[float]
    accepted: int
    faults: list[str]

    def figures(self) -> dict[str, float]:
        """Percentiles."""
        figures = {f"p{percent}_ms": percentile(self.visible_ms, percent) for percent in (50, 90, 99)}
        return figures | {"max_ms": max(self.visible_ms), "post_p50_ms": percentile(self.posted_ms, 50)}


def sampled(client: Client, samples: int, dice: random.Random, name: str) -> Seen:
    """That many submissions of new players, one after the other."""
    taken = []
    for number in range(samples):
        time.sleep(dice.uniform(*PAUSE_S))
        taken.append(sample(client, f"{name}-{number}"))
    return Seen(
        [one.seconds * 1000 for one in taken],
        [one.posted_s * 1000 for one in taken],
        sum(one.accepted for one in taken),
        [one.fault for one in taken if one.fault],
    )


class Sample(msgspec.Struct, frozen=True):
    """Seconds from before the POST until after the answer that shows it, seconds of the POST alone."""

    seconds: float
    posted_s: float
    accepted: bool
    fault: str = ""


def sample(client: Client, user: str) -> Sample:
    """One submission. Asks without a pause between, so the resolution is the time of one GET."""
    path = f"{PATH}/leaderboard/rank?userId={user}"
    started = time.perf_counter()
    status, body = client.ask("POST", f"{PATH}/scores", {"userId": user, "delta": 1})
    posted = time.perf_counter() - started
    if status != 202:
        return Sample(posted, posted, False, f"POST of {user} answers {status}")
    version = msgspec.json.decode(body)["version"]
    while True:
        status, body = client.ask("GET", path)
        seconds = time.perf_counter() - started
        if status == 200 and msgspec.json.decode(body)["version"] >= version:
            return Sample(seconds, posted, True)
        if seconds > GIVE_UP_S:
            return Sample(seconds, posted, True, f"{user} was not visible after {seconds:.0f} s (last status {status})")


@contextmanager
def background(stack: Stack, plan: Plan) -> Iterator[list[pacer.Paced]]:
    """Open-loop writes while the block runs; the list yielded holds their figures after it."""
    argv = [
        sys.executable, "-m", "bench.pacer", "--port", stack.settings.bind.rpartition(":")[2],
        "--path", f"{PATH}/scores", "--rate", str(plan.rate), "--seed", str(plan.seed),
    ]  # fmt: skip
    environ = {**os.environ, "LEADERBOARD_KEY": stack.settings.key}
    process = spawn(argv, env=environ, cwd=REPOSITORY, stdout=subprocess.PIPE)
    results: list[pacer.Paced] = []
    try:
        if process.stdout is None or process.stdout.readline().strip() != pacer.STARTED:
            raise ChildFailed("the generator of background writes did not start")
        yield results
        process.send_signal(signal.SIGTERM)
        text = process.stdout.read()
        try:
            results.append(msgspec.json.decode(text, type=pacer.Paced))
        except msgspec.DecodeError as error:
            raise ChildFailed(f"the generator of background writes gave no figures: {text[:200]!r}") from error
    finally:
        terminate(process, timeout=5.0)
        if process.stdout is not None:
            process.stdout.close()
