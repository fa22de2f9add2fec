"""Closed-loop load by wrk: one thread, keep-alive connections, each with one request in flight.

A closed loop sends less when answers are slow, so its percentiles do not hold for a fixed rate of arrivals. wrk adds
samples for an answer that took more than twice the mean interval; the percentiles include them.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from board.errors import ChildFailed
from board.process.children import spawn, terminate

SCRIPTS: Final = Path(__file__).resolve().parent / "wrk"
TAIL_S: Final = 1
"""Seconds after the last POST in which nothing is sent: longer than the write deadline of the service, so that every
answer arrives."""
PARKED: Final = b"PARKED"
"""Printed by ``post.lua`` when the sending ends."""
RESULT: Final = b"RESULT "


class LoadResult(msgspec.Struct, frozen=True):
    """Counts and latencies of wrk, times in microseconds.

    `answers` have any status, `refused` of them 400 or more. `broken` counts connections that gave no answer, `late`
    answers after wrk's time-out of 2 s. `generator_s` is the time of wrk on a core, in seconds.
    """

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
    generator_s: float = 0.0

    @property
    def accepted(self) -> int:
        """Answers below status 400."""
        return self.answers - self.refused

    @property
    def errors(self) -> int:
        """Requests without a good answer."""
        return self.refused + self.broken + self.late

    def count_submissions(self, size: int) -> tuple[int, int]:
        """Submissions that were accepted, and those without a good answer, of requests with `size` submissions each.

        A batch without a good answer may have been written whole.
        """
        return self.accepted * size, self.errors * size

    def figures(self, seconds: float | None = None) -> dict[str, float]:
        """Answers per second, percentiles in ms, and the cores that wrk took.

        `seconds` is the time of sending, if shorter than the run.
        """
        # The last requests were sent at the end of that time and answered after it.
        elapsed = self.duration_us / 1e6 if seconds is None else seconds + self.mean_us / 1e6
        return {
            "per_s": self.accepted / elapsed,
            "p50_ms": self.p50_us / 1000,
            "p90_ms": self.p90_us / 1000,
            "p99_ms": self.p99_us / 1000,
            "max_ms": self.max_us / 1000,
            "errors": float(self.errors),
            "generator_cores": self.generator_s / (self.duration_us / 1e6),
        }


def parse(line: bytes) -> LoadResult:
    """Decode the result that ``common.lua`` prints. Raises `ChildFailed` for any other line."""
    try:
        return msgspec.json.decode(line.removeprefix(RESULT), type=LoadResult)
    except msgspec.DecodeError as error:
        raise ChildFailed(f"wrk printed no figures: {line[:200]!r}") from error


def do_nothing() -> None:
    """The default of `meanwhile` and `at_end`."""


def get(
    url: str,
    *,
    seconds: int,
    connections: int,
    script: str = "get.lua",
    arguments: Sequence[str] = (),
    meanwhile: Callable[[], None] = do_nothing,
    key: str = "",
) -> LoadResult:
    """Send GET requests for `seconds`; `meanwhile` is called when the load has begun. Raises `ChildFailed`."""
    return run(script, url, seconds, connections, arguments, meanwhile, do_nothing, key)


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
    member: str = "delta",
    at_end: Callable[[], None] = do_nothing,
    key: str = "",
) -> LoadResult:
    """POST scores for `seconds`, then wait for all answers; `at_end` is called when the sending ends.

    A `size` above 0 sends batches of `size` submissions. The id of a player is `player` and a number: a random one of
    `pool` numbers from `first` on, or a new one each time when `pool` is 0. `seasons` above 0 replaces ``%d`` in the
    path by a random number below it. `member` is the one that the season takes:
    ``delta``, ``score``, or ``columns`` (a score with a column `time`); separated by commas, one for each season.
    Raises `ChildFailed`.
    """
    arguments = [path, *map(str, (seconds, seed, pool, size, player, first, seasons)), member]
    return run("post.lua", base, seconds + TAIL_S, connections, arguments, do_nothing, at_end, key)


def get_and_post(
    base: str, season: str, *, seconds: int, connections: int, seed: int, reads: int, pool: int, key: str = ""
) -> LoadResult:
    """Send `reads` percent reads of a rank, the rest writes, for `seconds`; then wait for all answers."""
    arguments = [f"/v1/seasons/{season}", str(seconds), str(seed), str(reads), str(pool)]
    return run("mixed.lua", base, seconds + TAIL_S, connections, arguments, do_nothing, do_nothing, key)


def run(
    script: str,
    url: str,
    seconds: int,
    connections: int,
    arguments: Sequence[str],
    meanwhile: Callable[[], None],
    at_end: Callable[[], None],
    key: str,
) -> LoadResult:
    """Run one script; each request carries the `key` unless it is empty. Raises `ChildFailed` without a result."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPTS / script), url, "--", *arguments]
    process = spawn(argv, env={**os.environ, "LEADERBOARD_KEY": key}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    last, result, generator_s = b"", None, 0.0
    try:
        meanwhile()
        for raw in process.stdout or ():
            line = raw.strip()
            if line == PARKED:
                at_end()
            elif line.startswith(RESULT):
                result = parse(line)
            last = line or last
        # Its time counts from the moment when it is waited for.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        generator_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    finally:
        terminate(process, timeout=2.0)
        if process.stdout is not None:
            process.stdout.close()
    if result is None:
        raise ChildFailed(f"wrk ended with status {process.returncode}: {last.decode('utf-8', 'replace')}")
    return msgspec.structs.replace(result, generator_s=generator_s)


def stride(count: int) -> int:
    """A step near the golden section of `count`, without a common factor: it visits every number below `count` once."""
    step = max(1, round(count * 0.618))
    while math.gcd(step, count) != 1:
        step += 1
    return step
