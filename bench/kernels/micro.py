"""Micro-benchmark of the byte kernels, in seconds: ``python -m bench micro``.

The implementations of a case run in turn in one process, so that a slow moment of the machine affects all of them. The
figure is the median over the turns, the spread is the distance between the quartiles. ``python -m bench perf`` takes
longer and is more reliable.
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
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench.arguments import positive
from bench.kernels.cases import Case, find_differing, make_cases

TURN_NS: Final = 4_000_000
"""Duration of one measurement, far above the resolution of the clock."""


class ImplementationResult(msgspec.Struct, frozen=True):
    """Nanoseconds per row: median and quartiles. `ratio` is the median divided by that of the compiled kernel."""

    name: str
    includes: str
    median_ns: float
    q1_ns: float
    q3_ns: float
    ratio: float


class CaseResult(msgspec.Struct, frozen=True):
    """Results of one case, the compiled kernel first."""

    name: str
    rows: int
    implementations: list[ImplementationResult]


class Report(msgspec.Struct, frozen=True):
    """The results of a run, as ``--json`` prints them."""

    machine: str
    versions: dict[str, str]
    rounds: int
    cases: list[CaseResult]


def measure(case: Case, rounds: int) -> CaseResult:
    """Time the implementations of a case, `rounds` times in turn. Raises `AssertionError` when their bytes differ."""
    if wrong := find_differing(case):
        raise AssertionError(f"{case.name}: the bytes of {', '.join(wrong)} differ from those of the C kernel")
    repeats = [
        max(1, TURN_NS // max(1, time_calls(implementation.call, 3) // 3)) for implementation in case.implementations
    ]
    samples: list[list[float]] = [[] for _ in case.implementations]
    enabled = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds):
            for step in range(len(case.implementations)):
                # Another implementation begins each round, so that none always follows the same one.
                at = (turn + step) % len(case.implementations)
                elapsed = time_calls(case.implementations[at].call, repeats[at])
                samples[at].append(elapsed / repeats[at] / case.rows)
            gc.collect()
    finally:
        if enabled:
            gc.enable()
    base = statistics.median(samples[0])
    results = []
    for implementation, values in zip(case.implementations, samples, strict=True):
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        results.append(
            ImplementationResult(implementation.name, implementation.includes, median, q1, q3, median / base)
        )
    return CaseResult(case.name, case.rows, results)


def time_calls(call: Callable[[], bytes], repeats: int) -> int:
    """Nanoseconds of that many calls."""
    start = time.perf_counter_ns()
    for _ in range(repeats):
        call()
    return time.perf_counter_ns() - start


def show(report: Report, console: Console) -> None:
    """Print a table for each case."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    console.print(f"{report.machine}; {versions}; {report.rounds} rounds", highlight=False)
    for case in report.cases:
        table = Table(title=f"{case.name}, {case.rows:,} rows", title_justify="left", title_style="bold")
        table.add_column("implementation")
        table.add_column("includes", style="dim")
        for column in ("ns/row", "spread", "x C kernel"):
            table.add_column(column, justify="right")
        for implementation in case.implementations:
            spread = (implementation.q3_ns - implementation.q1_ns) / implementation.median_ns
            table.add_row(
                implementation.name,
                implementation.includes,
                f"{implementation.median_ns:,.1f}",
                f"{spread:.0%}",
                f"{implementation.ratio:.1f}",
            )
        console.print(table)


def machine() -> str:
    """Name of the processor on Linux, elsewhere its architecture."""
    name = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # Not Linux.
    return name


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line. Ends the process for a wrong one."""
    parser = argparse.ArgumentParser(
        prog="python -m bench micro",
        description="Time the compiled byte kernels, their pure-Python twin, redis-py, hiredis, psycopg and "
        "msgspec. All implementations must give equal bytes before they are timed.",
        epilog="Exit status: 0 measured, 1 implementations give different bytes, 2 usage or no compiled kernels.",
    )
    parser.add_argument("--rows", type=positive, default=2000, help="rows of a batch (%(default)s)")
    parser.add_argument("--window", type=positive, default=100, help="entries of the rendered list (%(default)s)")
    parser.add_argument(
        "--rounds",
        type=positive,
        default=25,
        help="measurements of each implementation (%(default)s, about 4 s in all)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse_arguments(argv)
    try:
        cases = make_cases(options.rows, options.window)
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
