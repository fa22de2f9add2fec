"""Compares two commits: ``python -m bench compare A B --only post,rank``.

Each commit gets a work tree and kernels of its own. Rounds alternate between the two (A B, B A, …), so that a slow hour
of the machine affects both. The figure is the ratio of B to A, above 1 where B is better, with a 95 % interval by
bootstrap over the paired rounds. An interval that contains 1 means no difference.

Both commits run with the packages of this virtualenv. A commit that needs another version of one is refused.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
from packaging.requirements import Requirement
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import REPOSITORY
from bench.rows import catalog
from bench.rows.rounds import find_programs
from bench.system import machine
from bench.system.programs import last_line, require
from bench.tools.run import run_tool
from board.errors import ChildFailed, UsageError

RESAMPLES: Final = 10_000
LEAST_ROUNDS: Final = 3
"""Fewer rounds have no spread that a bootstrap could show."""
CONFIDENCE: Final = 0.95


class Comparison(msgspec.Struct, frozen=True):
    """One row: figures of both commits by round, the ratio of B to A (above 1: B is better) and its interval."""

    row: str
    unit: str
    a: list[float]
    b: list[float]
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """The interval in words."""
        if self.low <= 1.0 <= self.high:
            return "no difference"
        return "B is better" if self.low > 1.0 else "A is better"


def compare_rounds(row: catalog.Row, a: Sequence[float], b: Sequence[float], seed: int) -> Comparison:
    """The geometric mean of the paired ratios, and its bootstrap interval. `a` and `b` have the same rounds."""
    lower_is_better = row.unit in ("ms", "us", "bytes")
    logs = [math.log(x / y if lower_is_better else y / x) for x, y in zip(a, b, strict=True)]
    dice = random.Random(seed)
    means = sorted(sum(dice.choices(logs, k=len(logs))) / len(logs) for _ in range(RESAMPLES))
    cut = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    low, high = means[cut], means[-1 - cut]
    middle = sum(logs) / len(logs)
    return Comparison(row.name, row.unit, list(a), list(b), math.exp(middle), math.exp(low), math.exp(high))


def find_commit(name: str) -> str:
    """The hash of the commit that a hash, tag or branch names. Raises `UsageError`."""
    try:
        return run_program(["git", "rev-parse", "--verify", f"{name}^{{commit}}"], REPOSITORY).strip()
    except ChildFailed as error:
        raise UsageError(f"{name} names no commit of {REPOSITORY}") from error


class CommitTree:
    """A commit in a directory of its own, with its own kernels. Raises `ChildFailed`."""

    def __init__(self, commit: str, directory: Path) -> None:
        self.commit: Final = commit
        self.directory: Final = directory
        run_program(["git", "worktree", "add", "--detach", str(directory), self.commit], REPOSITORY)
        run_program([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], directory)

    def close(self) -> None:
        """Remove the work tree."""
        run_program(["git", "worktree", "remove", "--force", str(self.directory)], REPOSITORY)

    def measure(self, options: Sequence[str]) -> dict[str, float]:
        """Run one round of the benchmark in this tree; returns the main figure of each row. Raises `ChildFailed`."""
        text = run_program([sys.executable, "-m", "bench", "--rounds", "1", "--json", "-", *options], self.directory)
        report: dict[str, Any] = msgspec.json.decode(text)
        return {row["name"]: row["figures"][row["main"]]["median"] for row in report["rows"]}


def read_requirements(pyproject: str) -> list[Requirement]:
    """The packages that a ``pyproject.toml`` needs to run, and the compiler of its kernels."""
    found = tomllib.loads(pyproject)
    to_build = found.get("build-system", {}).get("requires", [])
    compiler = [text for text in to_build if Requirement(text).name == "cython"]
    return [Requirement(text) for text in (*found["project"].get("dependencies", []), *compiler)]


def refuse_other_packages(commit: str, pyproject: str) -> None:
    """Raise `UsageError` unless the installed packages are those that this commit needs."""
    for requirement in read_requirements(pyproject):
        installed = version(requirement.name)
        if installed not in requirement.specifier:
            raise UsageError(f"{commit} needs {requirement}, and {requirement.name} {installed} is installed")


def run_program(argv: Sequence[str], directory: Path) -> str:
    """Run a program with the code of `directory`; returns its output. Raises `ChildFailed`."""
    env = {**os.environ, "PYTHONPATH": str(directory)}
    done = subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildFailed(f"{shlex.join(argv)} ended with status {done.returncode}: {last_line(done.stderr)}")
    return done.stdout


def measure_trees(
    trees: Sequence[CommitTree], rounds: int, options: Sequence[str], console: Console
) -> list[list[dict[str, float]]]:
    """Measure both trees in turn; the one that begins alternates. Returns the figures of each round, A and B."""
    found: list[list[dict[str, float]]] = [[], []]
    with Progress(console=console) as bar:
        task = bar.add_task("measuring", total=2 * rounds)
        for turn in range(rounds):
            for tree in (0, 1) if turn % 2 == 0 else (1, 0):
                found[tree].append(trees[tree].measure([*options, "--seed", str(turn + 1)]))
                bar.update(task, advance=1)
    return found


def print_table(console: Console, found: Sequence[Comparison]) -> None:
    """Print the table."""
    table = Table(header_style="bold")
    for name in ("row", "A", "B", "ratio B : A", "95 %", ""):
        table.add_column(name, justify="left" if name in ("row", "") else "right")
    for one in found:
        medians = [f"{sorted(rounds)[len(rounds) // 2]:,.1f} {one.unit}" for rounds in (one.a, one.b)]
        table.add_row(one.row, *medians, f"{one.ratio:.3f}", f"{one.low:.3f} - {one.high:.3f}", one.verdict)
    console.print(table)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench compare",
        description="Measure two commits in turn.",
        epilog="Both run with the packages of this virtualenv; commits that need other packages are refused.",
    )
    add = made.add_argument
    add("a", metavar="A", help="commit, tag or branch")
    add("b", metavar="B", help="commit, tag or branch")
    add("--rounds", type=int, default=5, metavar="N", help="rounds of each commit (%(default)s)")
    add("--only", default="post,top10,rank", help="rows, as in `python -m bench` (%(default)s)")
    add("--seconds", default="5", metavar="S", help="length of each load (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return made


def run(args: argparse.Namespace, more: Sequence[str]) -> int:
    """Measure both commits and publish the result; `more` are options of each run. Raises `LeaderboardError`."""
    if args.rounds < LEAST_ROUNDS:
        raise UsageError(f"--rounds must be at least {LEAST_ROUNDS}: fewer rounds have no spread")
    rows = catalog.select_rows(args.only.split(","))
    wanted = [row for row in rows if row.family != "calibration"]
    require({"git": shutil.which("git"), **find_programs({row.name for row in rows})})
    machine.read_head()
    commits = {"a": find_commit(args.a), "b": find_commit(args.b)}
    for name, commit in zip((args.a, args.b), commits.values(), strict=True):
        refuse_other_packages(name, run_program(["git", "show", f"{commit}:pyproject.toml"], REPOSITORY))
    options = ["--only", ",".join(row.name for row in wanted), "--seconds", args.seconds, *more]
    with tempfile.TemporaryDirectory(prefix="leaderboard-compare-") as parent, ExitStack() as stack:
        trees = []
        for name, commit in commits.items():
            trees.append(CommitTree(commit, Path(parent) / name))
            stack.callback(trees[-1].close)
        both = measure_trees(trees, args.rounds, options, Console(stderr=True))
    found = [
        compare_rounds(row, [m[row.name] for m in both[0]], [m[row.name] for m in both[1]], seed)
        for seed, row in enumerate(wanted)
        if all(row.name in m for rounds in both for m in rounds)
    ]
    print_table(Console(), found)
    if args.json is not None:
        document = {"commits": commits, "rows": [msgspec.to_builtins(c) | {"verdict": c.verdict} for c in found]}
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return 0


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    args, more = make_parser().parse_known_args(argv)
    return run_tool("bench compare", lambda: run(args, more))
