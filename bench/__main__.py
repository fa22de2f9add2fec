"""The commands of the benchmark: ``python -m bench`` measures, ``python -m bench COMMAND`` does one other thing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Final

MEASURE: Final = "bench.tools.measure"
COMMANDS: Final = {
    "compare": ("bench.tools.compare", "measure two commits in turn: the ratio and its interval"),
    "scale": ("bench.tools.scale", "compare ten million players, and 100,000 seasons, with 10,000 players"),
    "anatomy": ("bench.tools.anatomy", "show the processor time of one request by process, function and command"),
    "capacity": ("bench.tools.capacity", "compute cores, memory and disk for a number of players, from a report"),
    "micro": ("bench.kernels.micro", "time the byte kernels in seconds"),
    "perf": ("bench.kernels.perf", "time the byte kernels with pyperf, in many processes"),
    "callgrind": ("bench.kernels.callgrind", "count the instructions of the byte kernels"),
    "evidence": ("bench.tools.evidence", "make the reports and pages of docs/ anew"),
    "html": ("bench.report.html", "write a report as HTML, and its plots as SVG"),
    "page": ("bench.report.page", "write the figures of a report as Markdown"),
    "schema": ("bench.report.schema", "print the JSON Schema of reports"),
}
"""Module and summary of each command; a module is imported when its command is called."""
OURS: Final = frozenset({"_speedups", "bench", "board", "ctl", "relay", "service"})
"""Packages of this project: one that is missing is a defect, and no package to install."""


def main(argv: Sequence[str]) -> int:
    """Run the command that `argv` names, or measure without one.

    Returns the exit status: 2 if a package is missing, 130 after Ctrl-C.
    """
    try:
        return find_command(argv)()
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        package = (error.name or "?").partition(".")[0]
        if package in OURS:
            raise
        print(
            f"bench: the package {package} is not installed in {sys.prefix}; `make bench-tools` installs all packages "
            "of the bench into .venv, then run .venv/bin/python -m bench",
            file=sys.stderr,
        )
        return 2


def find_command(argv: Sequence[str]) -> Callable[[], int]:
    """The command of these arguments, with its module imported."""
    if argv and argv[0] in COMMANDS:
        chosen = importlib.import_module(COMMANDS[argv[0]][0])
        return lambda: int(chosen.main(argv[1:]))
    measure = importlib.import_module(MEASURE)
    return lambda: int(measure.main(argv, summaries()))


def summaries() -> dict[str, str]:
    """One line about each command, for ``--help``."""
    return {name: summary for name, (_, summary) in COMMANDS.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
