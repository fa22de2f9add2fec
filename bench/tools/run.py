"""A run: measures step by step with a progress bar, and writes a report even when it is interrupted."""

from __future__ import annotations

import datetime
import http.client
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import msgspec
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.report import html
from bench.report.report import Report, build_rows, make_notes
from bench.report.terminal import print_report
from bench.report.text import format_number
from bench.rows.catalog import PEER, Row
from bench.rows.figures import Measure, Results
from bench.system import machine
from bench.system.run_options import RunOptions
from board.config.shown import shown
from board.errors import LeaderboardError
from board.pg.connections import first_line

WIDTH: Final = 120
REPLACED: Final = ("DATABASE_URL", "REDIS_URL", "LEADERBOARD_BIND", "LEADERBOARD_DATA_DIR", "LEADERBOARD_SERVERS")
"""Settings that a run chooses itself, whatever the environment has."""


class Run:
    """Measures the steps, `total` results of the rows `wanted`, and can report at any time.

    `shown_options` are the options as the report has them.
    """

    def __init__(
        self,
        options: RunOptions,
        wanted: Sequence[Row],
        steps: Callable[[RunOptions], Results],
        total: int,
        shown_options: Mapping[str, str | int],
        console: Console,
    ) -> None:
        self.options: Final = options
        self.wanted: Final = list(wanted)
        self.steps: Final = steps
        self.total: Final = total
        self.shown_options: Final = shown_options
        self.console: Final = console
        self.measured: Final[dict[str, list[Measure]]] = {}
        self.complete = False
        self.bar: Progress | None = None
        self.preparing: TaskID | None = None
        self.servers: dict[str, str] = {}
        self.durability: dict[str, str] = {}
        self.machine: Final = machine.read_machine(options.parent)
        # Read at the start, since the tree may change meanwhile.
        self.commit: Final = machine.read_commit()
        self.started: Final = datetime.datetime.now(datetime.UTC)
        self.clock: Final = time.monotonic()
        self.stolen: Final = machine.read_steal_seconds()

    def measure(self) -> None:
        """Measure all steps."""
        names = [row.name for row in self.wanted]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as bar:
            self.bar = bar
            task = bar.add_task("starting", total=self.total)
            if not self.options.against:
                self.read_servers()
            bar.update(task, description=names[0])
            for name, measure in self.steps(msgspec.structs.replace(self.options, progress=self.show_progress)):
                self.measured.setdefault(name, []).append(measure)
                self.print_measure(name, measure)
                following = names[(names.index(name.removeprefix(PEER)) + 1) % len(names)]
                bar.update(task, advance=1, description=following)
        self.complete = True

    def show_progress(self, what: str, done: int, total: int) -> None:
        """Move the bar of a preparation, which is visible until the preparation is complete."""
        if self.bar is None:
            return
        if self.preparing is None:
            self.preparing = self.bar.add_task(what)
        self.bar.update(self.preparing, description=what, completed=done, total=total, visible=done < total)

    def read_servers(self) -> None:
        """Read versions and durability from servers that are started like all others."""
        with self.options.stack() as stack:
            self.servers = {name.lower(): version for name, _, version in (s.partition(" ") for s in stack.servers)}
            self.durability = stack.durability()

    def print_measure(self, name: str, measure: Measure) -> None:
        """Print one line about a result, and its faults."""
        row = next(row for row in self.wanted if row.name == name.removeprefix(PEER))
        text = f"round {len(self.measured[name])}  {name:<13} {format_number(measure.figures[row.main]):>9} {row.unit}"
        for key in ("p50_ms", "p99_ms"):
            if key in measure.figures and key != row.main:
                text += f"  {key.removesuffix('_ms')} {format_number(measure.figures[key])} ms"
        self.console.print(text, highlight=False, markup=False)
        for fault in measure.faults:
            self.console.print(f"         WRONG: {fault}", style="bold red", markup=False)

    def make_report(self, command: str) -> Report:
        """The report of all results so far."""
        found = build_rows(self.wanted, self.measured)
        versions = machine.find_versions(self.servers)
        stolen = (
            (machine.read_steal_seconds() - self.stolen) / (time.monotonic() - self.clock) / self.machine.cores * 100
        )
        remote = bool(self.options.against)
        settings = {name: value for name, value in shown(self.options.settings) if name not in REPLACED}
        return Report(
            date=self.started.isoformat(timespec="seconds"),
            command=command,
            commit=self.commit,
            machine=self.machine,
            versions=versions,
            settings={} if remote else settings | self.durability,
            options=dict(self.shown_options),
            steal_percent=round(stolen, 2),
            complete=self.complete,
            correct=all(row.correct for row in found),
            notes=make_notes(self.machine, machine.RAM_DISKS, [] if remote else self.wanted, versions),
            rows=found,
        )


def run_tool(program: str, work: Callable[[], int]) -> int:
    """Run `work`; returns the exit status. SIGTERM ends it as Ctrl-C does, and an error is printed in one line."""
    signal.signal(signal.SIGTERM, on_term)
    try:
        return work()
    except LeaderboardError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except (psycopg.Error, OSError, http.client.HTTPException) as error:
        # A server or the API ended during the measurement. Status 1 would mean that an answer was wrong.
        print(f"{program}: {type(error).__name__}: {first_line(error)}", file=sys.stderr)
        return LeaderboardError.exit_code


def measure_and_publish(run: Run, file: Path | None, pages: Path | None, command: str) -> int:
    """Measure, and publish a report even when the run is interrupted; returns the exit status."""
    try:
        run.measure()
        status = 0
    except KeyboardInterrupt:
        status = 130
    finally:
        report = run.make_report(command)
        if report.rows:
            publish(report, file, pages)
    return status or (0 if report.correct else 1)


def publish(report: Report, file: Path | None, pages: Path | None) -> None:
    """Print the table, and write JSON to `file` and pages to the directory `pages`, unless they are None."""
    if pages is not None:
        html.write_files(report, pages)
    if file is not None:
        write_json(report, file)
    if file == Path("-"):
        return
    # Without a terminal there is no width to adapt to.
    print_report(report, Console(width=None if sys.stdout.isatty() else WIDTH))


def write_json(report: msgspec.Struct, file: Path) -> None:
    """Write a report as JSON to a file, whose directory is created; to standard output for ``-``."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    if file == Path("-"):
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)


def on_term(number: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does: stop all processes, and report the results so far."""
    raise KeyboardInterrupt
