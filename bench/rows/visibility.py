"""The rows of time to visible: from sending a POST until the rank of the player shows it."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from typing import Final

import msgspec

from bench.load.open_loop import OpenLoad, run_in_background
from bench.rows.figures import Measure, Results, percentile
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from bench.system.totals import audit, read_season_totals
from board.errors import ChildFailed
from ctl.http_client import Client

SEASON: Final = "visible"
PATH: Final = f"/v1/seasons/{SEASON}"
GIVE_UP_S: Final = 10.0
FAST: Final = 5_000
"""Writes per second of ``visible_5000``."""
PAUSE_S: Final = (0.005, 0.055)
"""Bounds of the random pause between samples: more than the idle interval of the relays, so that samples do not
fall in step with it."""


def measure(options: RunOptions, wanted: Collection[str]) -> Results:
    """``visible_idle``, ``visible_busy`` and ``visible_5000``, as far as they are in `wanted`."""
    dice = random.Random(options.seed)
    with options.stack() as stack, stack.relays(), stack.api() as client:
        open_season(client)
        checks = (f"{options.samples} samples", "PostgreSQL and Redis are consistent")
        if "visible_idle" in wanted:
            seen = take_samples(client, options.samples, dice, "idle")
            faults = seen.faults + stack.find_differences()
            yield "visible_idle", Measure(seen.figures(), () if faults else checks, tuple(faults))
        for name, rate in (("visible_busy", options.rate), ("visible_5000", FAST)):
            if name in wanted:
                yield name, measure_busy(stack, options, client, dice, name, rate)


def measure_busy(
    stack: Stack, options: RunOptions, client: Client, dice: random.Random, name: str, rate: int
) -> Measure:
    """The time to visible during an open-loop load of `rate` writes per second."""
    stack.checkpoint()
    before = read_season_totals(stack, SEASON).ledger
    with run_in_background(OpenLoad(stack.url, SEASON, rate, options.seed, key=stack.settings.key)) as paced:
        seen = take_samples(client, options.samples, dice, name)
    done = paced[0]
    stack.wait_until_empty()
    accepted = before + seen.accepted + done.accepted
    errors = options.samples - seen.accepted + done.errors
    faults = seen.faults + audit(read_season_totals(stack, SEASON), accepted, errors) + stack.find_differences()
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
        f"{options.samples} samples, {done.accepted:,} background writes in the ledger",
        "PostgreSQL and Redis are consistent",
    )
    curves = {f"latency of POST, {rate:,}/s offered": done.all.curve}
    hdr = {"writes": done.all.hdr}
    return Measure(figures, () if faults else checks, tuple(faults), curves=curves, hdr=hdr, invalid=done.invalid())


def open_season(client: Client) -> None:
    """Create the season and open the connections, by a sample that is not counted. Raises `ChildFailed`."""
    if fault := take_sample(client, "first").fault:
        raise ChildFailed(f"the first submission did not become visible: {fault}")


class Samples(msgspec.Struct, frozen=True):
    """Samples: times until visible and of the POST alone, in ms; number of accepted POSTs; faults."""

    visible_ms: list[float]
    posted_ms: list[float]
    accepted: int
    faults: list[str]

    def figures(self) -> dict[str, float]:
        """Percentiles of the samples."""
        figures = {f"p{percent}_ms": percentile(self.visible_ms, percent) for percent in (50, 90, 99)}
        return figures | {"max_ms": max(self.visible_ms), "post_p50_ms": percentile(self.posted_ms, 50)}


def take_samples(client: Client, samples: int, dice: random.Random, name: str) -> Samples:
    """Take `samples` samples of new players, one after the other."""
    taken = []
    for number in range(samples):
        time.sleep(dice.uniform(*PAUSE_S))
        taken.append(take_sample(client, f"{name}-{number}"))
    return Samples(
        [one.seconds * 1000 for one in taken],
        [one.posted_s * 1000 for one in taken],
        sum(one.accepted for one in taken),
        [one.fault for one in taken if one.fault],
    )


class Sample(msgspec.Struct, frozen=True):
    """Seconds from before the POST until after the answer that shows it, and seconds of the POST alone."""

    seconds: float
    posted_s: float
    accepted: bool
    fault: str = ""


def take_sample(client: Client, user: str) -> Sample:
    """Submit for one player, then read the rank without a pause: the resolution is the time of one GET."""
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
