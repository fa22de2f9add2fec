"""The commands of the benchmark: ``python -m bench`` measures, ``python -m bench COMMAND`` does one other thing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
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


def main(argv: Sequence[str]) -> int:
    """Run the command that `argv` names, or measure without one; the exit status."""
    if argv and argv[0] in COMMANDS:
        module, _ = COMMANDS[argv[0]]
        status: int = importlib.import_module(module).main(argv[1:])
        return status
    measured: int = importlib.import_module(MEASURE).main(argv, summaries())
    return measured


def summaries() -> dict[str, str]:
    """One line about each command, for ``--help``."""
    return {name: summary for name, (_, summary) in COMMANDS.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
