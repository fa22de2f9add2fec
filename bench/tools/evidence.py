"""Makes the reports behind docs/, their plots and the pages anew: ``python -m bench evidence`` (or ``make evidence``).

The reports lie in ``bench/results/``. Figures of a tree with changes, or of a machine that is not idle, are refused.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench import REPOSITORY
from bench.report import anatomy, html, page
from bench.report.anatomy import AnatomyReport
from bench.report.report import Report
from bench.rows import catalog
from bench.rows.rounds import find_programs
from bench.system.machine import IDLE_LOAD, read_commit, read_head
from bench.system.programs import pyspy, require
from bench.tools import capacity
from bench.tools.run import run_tool
from board.errors import ChildFailed, UsageError

RESULTS: Final = Path("bench/results")
"""Directory of the reports, in the repository."""
RUNS: Final = {
    "bench": ("--players", "1000000", "--rounds", "2", "--seconds", "4"),
    "scale-board": ("scale", "--only", "board", "--rounds", "3", "--seconds", "4"),
    "scale-million": ("scale", "--only", "board", "--players", "1000000", "--rounds", "2", "--seconds", "3"),
    "scale-many": ("scale", "--only", "many", "--rounds", "3", "--seconds", "4"),
    "anatomy-post": ("anatomy", "post", "--seconds", "10"),
    "anatomy-rank": ("anatomy", "rank", "--seconds", "10"),
}
"""Arguments of ``python -m bench`` for each report, by its name in `RESULTS`."""
BLOCKS: Final = (
    ("docs/benchmarks.md", "figures", "bench"),
    ("docs/capacity.md", "capacity", "bench"),
    ("docs/capacity.md", "scale", "scale-board"),
    ("docs/capacity.md", "million", "scale-million"),
    ("docs/capacity.md", "many", "scale-many"),
    ("docs/performance.md", "anatomy-post", "anatomy-post"),
    ("docs/performance.md", "anatomy-rank", "anatomy-rank"),
)
"""Page, block and report of everything that is written to docs/."""
IDLE_WITHIN_S: Final = 900.0
POLL_S: Final = 5.0


def report_file(name: str) -> Path:
    """Path of a report, relative to the repository."""
    return RESULTS / f"{name}.json"


def require_clean_tree() -> None:
    """Raises `UsageError` outside a checkout, and when it has changes: figures would not be those of a commit."""
    read_head()
    if read_commit().dirty:
        raise UsageError("the tree has changes; commit them, or add --anyway")


def require_idle_machine(load: Callable[[], float], wait_s: float = 0.0) -> None:
    """Wait until the load average is that of an idle machine. Raises `UsageError` after `wait_s` seconds."""
    until = time.monotonic() + wait_s
    while (now := load()) > IDLE_LOAD:
        if time.monotonic() >= until:
            raise UsageError(f"the machine is not idle (load {now:.2f}, at most {IDLE_LOAD}); wait, or add --anyway")
        time.sleep(POLL_S)


def load_average() -> float:
    """The one-minute load average."""
    return os.getloadavg()[0]


def measure(anyway: bool) -> None:
    """Make all reports. Raises `UsageError`, and `ChildFailed` when a run fails.

    A run raises the load average itself, so each following run waits until it has fallen.
    """
    if not anyway:
        require_clean_tree()
    wait_s = 0.0
    for name, arguments in RUNS.items():
        if not anyway:
            require_idle_machine(load_average, wait_s)
            wait_s = IDLE_WITHIN_S
        argv = [sys.executable, "-m", "bench", *arguments, "--json", str(report_file(name))]
        print(f"bench evidence: {name}", file=sys.stderr)
        if status := subprocess.run(argv, cwd=REPOSITORY, check=False).returncode:
            raise ChildFailed(f"the run for {report_file(name)} ended with status {status}")


def write_plots() -> None:
    """Write the plots of every report to the directory beside it."""
    for name in RUNS:
        file = REPOSITORY / report_file(name)
        report = page.read_report(file)
        if isinstance(report, AnatomyReport):
            anatomy.write_plot(report, file.with_suffix(""))
        else:
            html.write_files(report, file.with_suffix(""))


def write_pages() -> None:
    """Replace every block of docs/ by the figures of its report. Raises `ValueError` for a page without the block."""
    for target, block, name in BLOCKS:
        file = REPOSITORY / report_file(name)
        page.write_block(REPOSITORY / target, render(block, page.read_report(file), file), block)


def render(block: str, report: Report | AnatomyReport, source: Path) -> str:
    """The Markdown of a block."""
    if isinstance(report, AnatomyReport):
        return anatomy.render(report, source)
    return capacity.render(report, source) if block == capacity.BLOCK else page.render(report, source)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench evidence",
        description="Make the reports behind docs/ (about an hour), their plots, and the figures of the pages.",
        epilog="Refuses a tree with changes, and a machine that is not idle.",
    )
    made.add_argument("--anyway", action="store_true", help="measure with changes, and on a machine that is not idle")
    made.add_argument("--pages", action="store_true", help="only write plots and pages, from the reports that exist")
    return made


def run(args: argparse.Namespace) -> int:
    """Measure, unless only the pages are wanted; then write plots and pages."""
    if not args.pages:
        names = {row.name for row in catalog.ROWS}
        require({"git": shutil.which("git"), **find_programs(names), "py-spy": pyspy()})
        measure(args.anyway)
    write_plots()
    write_pages()
    return 0


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
    return run_tool("bench evidence", lambda: run(args))
