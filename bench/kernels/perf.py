"""The byte kernels by pyperf: ``python -m bench perf -o kernels.json``, then ``python -m pyperf show kernels.json``,
and for two runs ``python -m pyperf compare_to --table old.json new.json``.

pyperf starts many processes for each side of each case, so that neither the hash seed nor the layout of memory decides
the figure, and says when a result is not stable. All its options work (``--fast``, ``--rigorous``, ``--affinity``, …).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import pyperf

from bench.arguments import positive
from bench.kernels.cases import Case, all_cases, differing

PROGRAM = ("-m", "bench", "perf")


def forward(command: list[str], options: argparse.Namespace) -> None:
    """Give our own options to the processes that measure."""
    command += ["--rows", str(options.rows), "--window", str(options.window)]
    command += ["--only", options.only] if options.only else []


def chosen(cases: Sequence[Case], only: str) -> list[Case]:
    """The case of that name; all for none."""
    return [case for case in cases if only in ("", case.name)]


def main(argv: Sequence[str]) -> int:
    """Measure; the exit status is 1 when sides give different bytes, 2 for usage or when no kernels were compiled."""
    runner: Any = pyperf.Runner(program_args=PROGRAM, add_cmdline_args=forward)
    runner.argparser.prog = "python -m bench perf"
    add = runner.argparser.add_argument
    add("--rows", type=positive, default=2_000, help="rows of a batch (2,000)")
    add("--window", type=positive, default=100, help="rows of a rendered window (100)")
    add("--only", default="", metavar="CASE", help="one case (all)")
    options = runner.parse_args(argv)
    try:
        cases = chosen(all_cases(options.rows, options.window), options.only)
    except ImportError as error:
        print(f"bench perf: the compiled kernels are not built ({error})", file=sys.stderr)
        return 2
    if not cases:
        print(f"bench perf: there is no case {options.only!r}", file=sys.stderr)
        return 2
    for case in cases:
        # Once, not in each process that measures.
        if not options.worker and (wrong := differing(case)):
            print(f"bench perf: {case.name}: {', '.join(wrong)} differ from the C kernel", file=sys.stderr)
            return 1
        for side in case.sides:
            runner.metadata["rows"] = case.rows
            runner.bench_func(f"{case.name}: {side.name}", side.call)
    return 0
