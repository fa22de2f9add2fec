"""Run the open-loop generator beside the system under test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from bench import REPOSITORY
from bench.load.generator import STARTED
from bench.load.open_loop_result import Paced
from board.errors import ChildFailed
from board.process.children import spawn, terminate


class Offer(msgspec.Struct, frozen=True):
    """What is asked: requests a second, percent of them reads, and the players it is about (`player` + number)."""

    url: str
    season: str
    rate: float
    seed: int
    reads: int = 0
    player: str = "paced-"
    pool: int = 10_000
    key: str = ""

    def argv(self) -> list[str]:
        """The generator's command line."""
        return [
            sys.executable, "-m", "bench.load.generator", "--url", self.url, "--season", self.season,
            "--rate", str(self.rate), "--seed", str(self.seed), "--reads", str(self.reads), "--player", self.player,
            "--pool", str(self.pool),
        ]  # fmt: skip


def offer(what: Offer, seconds: float) -> Paced:
    """Offer it for so many seconds. Raises `ChildFailed`."""
    with running([*what.argv(), "--seconds", str(seconds)], what.key) as process:
        return figures_of(process)


@contextmanager
def background(what: Offer) -> Iterator[list[Paced]]:
    """Offer it while the block runs; the list yielded holds the figures after it."""
    with running(what.argv(), what.key) as process:
        results: list[Paced] = []
        yield results
        process.send_signal(signal.SIGTERM)
        results.append(figures_of(process))


@contextmanager
def running(argv: Sequence[str], key: str) -> Iterator[subprocess.Popen[bytes]]:
    """The generator, once its load is on."""
    process = spawn(list(argv), env={**os.environ, "LEADERBOARD_KEY": key}, cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or process.stdout.readline().strip() != STARTED:
            raise ChildFailed("the open-loop generator did not start")
        yield process
    finally:
        terminate(process, timeout=5.0)
        if process.stdout is not None:
            process.stdout.close()


def figures_of(process: subprocess.Popen[bytes]) -> Paced:
    """What it prints at its end."""
    text = b"" if process.stdout is None else process.stdout.read()
    try:
        return msgspec.json.decode(text, type=Paced)
    except msgspec.DecodeError as error:
        raise ChildFailed(f"the open-loop generator gave no figures: {text[:200]!r}") from error
