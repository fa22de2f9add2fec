"""Visible: from sending a POST until the player's rank shows it."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from typing import Final

import msgspec

from bench.load.open_loop import Offer, background
from bench.rows.figures import Measure, Results, percentile
from bench.system.run_options import Plan
from bench.system.stack import Stack
from bench.system.totals import audit, books
from board.errors import ChildFailed
from ctl.demo import Client

SEASON: Final = "visible"
PATH: Final = f"/v1/seasons/{SEASON}"
GIVE_UP_S: Final = 10.0
FAST: Final = 5_000
"""Writes a second of ``visible_5000``."""
PAUSE_S: Final = (0.005, 0.055)
"""Between samples: spread over more than the relays' idle interval, so that samples do not fall in step with it."""


def measure(plan: Plan, wanted: Collection[str]) -> Results:
    """``visible_idle``, ``visible_busy`` and ``visible_5000``."""
    dice = random.Random(plan.seed)
    with plan.stack() as stack, stack.relays(), stack.api() as client:
        first_sample(client)
        checks = (f"{plan.samples} samples", "PostgreSQL and Redis are equal")
        if "visible_idle" in wanted:
            seen = sampled(client, plan.samples, dice, "idle")
            faults = seen.faults + stack.unequal()
            yield "visible_idle", Measure(seen.figures(), () if faults else checks, tuple(faults))
        for name, rate in (("visible_busy", plan.rate), ("visible_5000", FAST)):
            if name in wanted:
                yield name, busy(stack, plan, client, dice, name, rate)


def busy(stack: Stack, plan: Plan, client: Client, dice: random.Random, name: str, rate: int) -> Measure:
    """The time to visible while so many writes a second are offered in the background."""
    stack.checkpoint()
    before = books(stack, SEASON).ledger
    with background(Offer(stack.url, SEASON, rate, plan.seed, key=stack.settings.key)) as paced:
        seen = sampled(client, plan.samples, dice, name)
    done = paced[0]
    stack.until_empty()
    accepted = before + seen.accepted + done.accepted
    errors = plan.samples - seen.accepted + done.errors
    faults = seen.faults + audit(books(stack, SEASON), accepted, errors) + stack.unequal()
    if not done.accepted:
        faults.append("there were no background writes")
    figures = seen.figures() | {
        "offered_per_s": done.offered_per_s,
        "write_p50_ms": done.all.p50_ms,
        "write_p99_ms": done.all.p99_ms,
        "lag_p99_ms": done.lag_p99_ms,
        "errors": float(done.errors),
    }
    checks = (
        f"{plan.samples} samples, {done.accepted:,} background writes in the ledger",
        "PostgreSQL and Redis are equal",
    )
    curves = {f"latency of POST, {rate:,}/s offered": done.all.curve}
    hdr = {"writes": done.all.hdr}
    return Measure(figures, () if faults else checks, tuple(faults), curves=curves, hdr=hdr, invalid=done.invalid())


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
