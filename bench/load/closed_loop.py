"""Closed-loop load by wrk: one thread, keep-alive connections, each with one request in flight.

A closed loop sends less when answers are slow, so its percentiles say nothing about a fixed rate of arrivals. wrk
itself fills in samples for an answer that took more than twice the mean interval; the percentiles include those.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from board.errors import ChildFailed
from board.process.children import spawn, terminate

SCRIPTS: Final = Path(__file__).resolve().parent / "wrk"
TAIL_S: Final = 1
"""Silence after the last POST: above the service's write deadline, so that every answer arrives."""
PARKED: Final = b"PARKED"
RESULT: Final = b"RESULT "


class Load(msgspec.Struct, frozen=True):
    """What wrk counted. `answers` have any status, `refused` of them 400 or more; `broken` connections gave none;
    `late` answers took more than wrk's time-out of 2 s. Times in microseconds."""

    answers: int
    refused: int
    broken: int
    late: int
    duration_us: int
    p50_us: int
    p90_us: int
    p99_us: int
    max_us: int
    mean_us: float

    @property
    def accepted(self) -> int:
        """Answers below status 400."""
        return self.answers - self.refused

    @property
    def errors(self) -> int:
        """Requests without a good answer."""
        return self.refused + self.broken + self.late

    def figures(self, seconds: float | None = None) -> dict[str, float]:
        """Rate and latency. `seconds`: how long requests were sent, where that is not all of wrk's time."""
        # The last requests were sent at the end of that time and answered after it.
        elapsed = self.duration_us / 1e6 if seconds is None else seconds + self.mean_us / 1e6
        return {
            "per_s": self.accepted / elapsed,
            "p50_ms": self.p50_us / 1000,
            "p90_ms": self.p90_us / 1000,
            "p99_ms": self.p99_us / 1000,
            "max_ms": self.max_us / 1000,
            "errors": float(self.errors),
        }


def parse(line: bytes) -> Load:
    """Decode the line that ``common.lua`` prints. Raises `ChildFailed` for anything else."""
    try:
        return msgspec.json.decode(line.removeprefix(RESULT), type=Load)
    except msgspec.DecodeError as error:
        raise ChildFailed(f"wrk printed no figures: {line[:200]!r}") from error


def nothing() -> None:
    """What to do meanwhile, by default."""


def get(
    url: str,
    *,
    seconds: int,
    connections: int,
    script: str = "get.lua",
    arguments: Sequence[str] = (),
    meanwhile: Callable[[], None] = nothing,
    key: str = "",
) -> Load:
    """GET for that many seconds; `meanwhile` is called once the load has begun."""
    return run(script, url, seconds, connections, arguments, meanwhile, nothing, key)


def post(
    base: str,
    path: str,
    *,
    seconds: int,
    connections: int,
    seed: int,
    pool: int = 0,
    size: int = 0,
    player: str = "player-",
    first: int = 0,
    seasons: int = 0,
    at_end: Callable[[], None] = nothing,
    key: str = "",
) -> Load:
    """POST scores for that many seconds, then wait for all answers; `at_end` is called when the sending ends.

    With a `size` each request is a batch of so many submissions. `player` and a number make an id; a pool's numbers
    begin with `first`. With `seasons`, ``%d`` in the path is one of so many for each request.
    """
    arguments = [path, *map(str, (seconds, seed, pool, size, player, first, seasons))]
    return run("post.lua", base, seconds + TAIL_S, connections, arguments, nothing, at_end, key)


def mixed(
    base: str, season: str, *, seconds: int, connections: int, seed: int, reads: int, pool: int, key: str = ""
) -> Load:
    """Reads of a rank, so many percent, and writes, for that many seconds; then wait for all answers."""
    arguments = [f"/v1/seasons/{season}", str(seconds), str(seed), str(reads), str(pool)]
    return run("mixed.lua", base, seconds + TAIL_S, connections, arguments, nothing, nothing, key)


def run(
    script: str,
    url: str,
    seconds: int,
    connections: int,
    arguments: Sequence[str],
    meanwhile: Callable[[], None],
    at_end: Callable[[], None],
    key: str,
) -> Load:
    """Run one script; with a key, each request carries it. Raises `ChildFailed` when wrk ends without figures."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPTS / script), url, "--", *arguments]
    process = spawn(argv, env={**os.environ, "LEADERBOARD_KEY": key}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    last, result = b"", None
    try:
        meanwhile()
        for raw in process.stdout or ():
            line = raw.strip()
            if line == PARKED:
                at_end()
            elif line.startswith(RESULT):
                result = parse(line)
            last = line or last
        process.wait()
    finally:
        terminate(process, timeout=2.0)
        if process.stdout is not None:
            process.stdout.close()
    if result is None:
        raise ChildFailed(f"wrk ended with status {process.returncode}: {last.decode('utf-8', 'replace')}")
    return result


def stride(count: int) -> int:
    """A step near the golden section of `count` that visits every number below it before any comes again."""
    step = max(1, round(count * 0.618))
    while math.gcd(step, count) != 1:
        step += 1
    return step
