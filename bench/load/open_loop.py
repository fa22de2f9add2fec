"""Runs the open-loop generator as a process beside the system under test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from bench import REPOSITORY
from bench.load.audience import SETTLE_S, AudienceResult
from bench.load.generator import STARTED
from bench.load.open_loop_result import OpenLoopResult
from board.errors import ChildFailed
from board.process.children import spawn, terminate

T = TypeVar("T")


class OpenLoad(msgspec.Struct, frozen=True):
    """An open-loop load: `rate` requests per second, `reads` percent of them reads, for `pool` players with ids of
    `player` and a number. With several `boards` it goes to seasons of the name and a number. With a path to `ask` all
    requests are that read, of so many `players`: one ends the path, several are in the body."""

    url: str
    season: str
    rate: float
    seed: int
    reads: int = 0
    player: str = "paced-"
    pool: int = 10_000
    key: str = ""
    boards: int = 1
    ask: str = ""
    players: int = 1

    def argv(self) -> list[str]:
        """The command line of the generator."""
        return [
            sys.executable, "-m", "bench.load.generator", "--url", self.url, "--season", self.season,
            "--rate", str(self.rate), "--seed", str(self.seed), "--reads", str(self.reads), "--player", self.player,
            "--pool", str(self.pool), "--boards", str(self.boards), "--ask", self.ask, "--players", str(self.players),
        ]  # fmt: skip


def run_open_loop(load: OpenLoad, seconds: float) -> OpenLoopResult:
    """Run the load for `seconds`. Raises `ChildFailed`."""
    with start_generator([*load.argv(), "--seconds", str(seconds)], load.key) as process:
        return read_result(process, OpenLoopResult)


@contextmanager
def run_in_background(load: OpenLoad) -> Iterator[list[OpenLoopResult]]:
    """Run the load while the block runs; the list that is yielded holds the result afterwards."""
    with start_generator(load.argv(), load.key) as process:
        results: list[OpenLoopResult] = []
        yield results
        process.send_signal(signal.SIGTERM)
        results.append(read_result(process, OpenLoopResult))


@contextmanager
def listen_in_background(
    url: str, season: str, *, boards: int, listeners: int, marks: float, key: str, settle_s: float = SETTLE_S
) -> Iterator[list[AudienceResult]]:
    """Listen while the block runs; the list that is yielded holds the result afterwards."""
    argv = [
        sys.executable, "-m", "bench.load.audience", "--url", url, "--season", season, "--boards", str(boards),
        "--listeners", str(listeners), "--marks", str(marks), "--settle", str(settle_s),
    ]  # fmt: skip
    with start_generator(argv, key) as process:
        results: list[AudienceResult] = []
        yield results
        process.send_signal(signal.SIGTERM)
        results.append(read_result(process, AudienceResult))


@contextmanager
def start_generator(argv: Sequence[str], key: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a generator, once its load is running. Raises `ChildFailed` when it does not start."""
    process = spawn(list(argv), env={**os.environ, "LEADERBOARD_KEY": key}, cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or process.stdout.readline().strip() != STARTED:
            raise ChildFailed(f"{argv[2]} did not start")
        yield process
    finally:
        terminate(process, timeout=5.0)
        if process.stdout is not None:
            process.stdout.close()


def read_result(process: subprocess.Popen[bytes], kind: type[T]) -> T:
    """The result that a generator prints when it ends. Raises `ChildFailed` without one."""
    text = b"" if process.stdout is None else process.stdout.read()
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise ChildFailed(f"the generator printed no figures: {text[:200]!r}") from error
