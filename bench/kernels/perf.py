"""The byte kernels timed with pyperf: ``python -m bench perf -o kernels.json``.

pyperf starts many processes for each implementation, so that neither the hash seed nor the layout of memory decides
the figure, and it warns when a result is not stable. All options of pyperf work (``--fast``, ``--rigorous``, …).
``python -m pyperf show kernels.json`` prints a result, ``python -m pyperf compare_to --table old.json new.json``
compares two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import pyperf

from bench.arguments import positive
from bench.kernels.cases import Case, find_differing, make_cases

PROGRAM = ("-m", "bench", "perf")


def forward(command: list[str], options: argparse.Namespace) -> None:
    """Add our own options to the command line of the processes that measure."""
    command += ["--rows", str(options.rows), "--window", str(options.window)]
    command += ["--only", options.only] if options.only else []


def select_cases(cases: Sequence[Case], only: str) -> list[Case]:
    """The case with the name `only`; all cases when it is empty."""
    return [case for case in cases if only in ("", case.name)]


def main(argv: Sequence[str]) -> int:
    """Measure; returns the exit status: 1 when bytes differ, 2 for usage or when the kernels are not compiled."""
    runner: Any = pyperf.Runner(program_args=PROGRAM, add_cmdline_args=forward)
    runner.argparser.prog = "python -m bench perf"
    add = runner.argparser.add_argument
    add("--rows", type=positive, default=2_000, help="rows of a batch (2,000)")
    add("--window", type=positive, default=100, help="entries of the list that is rendered (100)")
    add("--only", default="", metavar="CASE", help="one case (all)")
    options = runner.parse_args(argv)
    try:
        cases = select_cases(make_cases(options.rows, options.window), options.only)
    except ImportError as error:
        print(f"bench perf: the compiled kernels are not built ({error})", file=sys.stderr)
        return 2
    if not cases:
        print(f"bench perf: there is no case {options.only!r}", file=sys.stderr)
        return 2
    for case in cases:
        # Only in the first process, not in each one that measures.
        if not options.worker and (wrong := find_differing(case)):
            print(f"bench perf: {case.name}: {', '.join(wrong)} differ from the C kernel", file=sys.stderr)
            return 1
        for implementation in case.implementations:
            runner.metadata["rows"] = case.rows
            runner.bench_func(f"{case.name}: {implementation.name}", implementation.call)
    return 0
