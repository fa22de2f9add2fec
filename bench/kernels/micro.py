"""Micro-benchmark of the byte kernels in seconds: `python -m bench micro`. `bench.perf` takes longer and is surer.

The sides of a case run in one process and take turns, so that a slow moment of the machine hits all of them. The
figure is the median over the turns, the spread the distance of the quartiles.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from bench.arguments import positive
from bench.kernels.cases import Case, all_cases, differing

TURN_NS = 4_000_000  # One measurement lasts about this long, far above the clock's resolution.


class SideResult(msgspec.Struct, frozen=True):
    """Nanoseconds per row: median and quartiles; ``ratio`` is the median over that of the compiled kernel."""

    name: str
    includes: str
    median_ns: float
    q1_ns: float
    q3_ns: float
    ratio: float


class CaseResult(msgspec.Struct, frozen=True):
    name: str
    rows: int
    sides: list[SideResult]


class Report(msgspec.Struct, frozen=True):
    machine: str
    versions: dict[str, str]
    rounds: int
    cases: list[CaseResult]


def measure(case: Case, rounds: int) -> CaseResult:
    """Check that all sides agree, then time them in turns; an `AssertionError` when they do not."""
    if wrong := differing(case):
        raise AssertionError(f"{case.name}: the bytes of {', '.join(wrong)} differ from those of the C kernel")
    repeats = [max(1, TURN_NS // max(1, timed(side.call, 3) // 3)) for side in case.sides]
    samples: list[list[float]] = [[] for _ in case.sides]
    enabled = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds):
            for step in range(len(case.sides)):
                # Another side begins each turn, so that none always follows the same one.
                at = (turn + step) % len(case.sides)
                elapsed = timed(case.sides[at].call, repeats[at])
                samples[at].append(elapsed / repeats[at] / case.rows)
            gc.collect()
    finally:
        if enabled:
            gc.enable()
    base = statistics.median(samples[0])
    results = []
    for side, values in zip(case.sides, samples, strict=True):
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        results.append(SideResult(side.name, side.includes, median, q1, q3, median / base))
    return CaseResult(case.name, case.rows, results)


def timed(call: Callable[[], bytes], repeats: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(repeats):
        call()
    return time.perf_counter_ns() - start


def show(report: Report, console: Console) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    console.print(f"{report.machine}; {versions}; {report.rounds} rounds", highlight=False)
    for case in report.cases:
        table = Table(title=f"{case.name}, {case.rows:,} rows", title_justify="left", title_style="bold")
        table.add_column("side")
        table.add_column("includes", style="dim")
        for column in ("ns/row", "spread", "x C kernel"):
            table.add_column(column, justify="right")
        for side in case.sides:
            spread = (side.q3_ns - side.q1_ns) / side.median_ns
            table.add_row(side.name, side.includes, f"{side.median_ns:,.1f}", f"{spread:.0%}", f"{side.ratio:.1f}")
        console.print(table)


def machine() -> str:
    """The processor by its name where Linux tells it, with the number of cores this process may use."""
    name = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # Not Linux: the architecture has to do.
    return name


def arguments_of(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench micro",
        description="Time the compiled byte kernels beside their pure-Python twin, redis-py, hiredis, psycopg "
        "and msgspec. Every side must give equal bytes before it is timed.",
        epilog="Exit codes: 0 measured, 1 sides gave different bytes, 2 usage, or no compiled kernels.",
    )
    parser.add_argument("--rows", type=positive, default=2000, help="rows of a batch (default: %(default)s)")
    parser.add_argument("--window", type=positive, default=100, help="rows of a rendered window (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=positive, default=25, help="turns of each side (default: %(default)s, about 4 s in all)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; the exit code."""
    options = arguments_of(argv)
    try:
        cases = all_cases(options.rows, options.window)
    except ImportError as error:
        print(f"bench micro: the compiled kernels are not built ({error})", file=sys.stderr)
        return 2
    try:
        results = [measure(case, max(2, options.rounds)) for case in cases]
    except AssertionError as error:
        print(f"bench micro: {error}", file=sys.stderr)
        return 1
    names = ("redis", "hiredis", "psycopg", "msgspec")
    versions = {"Python": platform.python_version()} | {n: importlib.metadata.version(n) for n in names}
    report = Report(machine(), versions, max(2, options.rounds), results)
    if options.json:
        print(msgspec.json.encode(report).decode())
    else:
        show(report, Console())
    return 0
