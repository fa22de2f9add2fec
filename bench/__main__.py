"""The benchmark: ``python -m bench``. It starts its own servers, and leaves nothing behind."""

from __future__ import annotations

import datetime
import http.client
import random
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import msgspec
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench import against, compare, html, machine, rows
from bench.calibrate import nginx_program
from bench.figures import Measure
from bench.options import parser, plan_of
from bench.plan import Plan, Results
from bench.report import Report, lines, number, remarks, show
from board.errors import LeaderboardError, UsageError
from board.shown import shown
from board.sql import first_line

WIDTH: Final = 120
REPLACED: Final = ("DATABASE_URL", "REDIS_URL", "LEADERBOARD_BIND", "LEADERBOARD_DATA_DIR", "LEADERBOARD_SERVERS")
"""Settings that a run chooses by itself, whatever the environment says."""


class Run:
    """A run under way: measures, and can tell at any time what it has."""

    def __init__(self, plan: Plan, wanted: Sequence[rows.Row], rounds: int, console: Console) -> None:
        self.plan: Final = plan
        self.wanted: Final = list(wanted)
        self.rounds: Final = rounds
        self.console: Final = console
        self.measured: Final[dict[str, list[Measure]]] = {}
        self.complete = False
        self.bar: Progress | None = None
        self.preparing: TaskID | None = None
        self.servers: dict[str, str] = {}
        self.durability: dict[str, str] = {}
        self.machine: Final = machine.machine(plan.parent)
        # Now, not at the end: somebody may work in the tree meanwhile.
        self.commit: Final = machine.commit()
        self.started: Final = datetime.datetime.now(datetime.UTC)
        self.clock: Final = time.monotonic()
        self.stolen: Final = machine.steal()

    def measure(self) -> None:
        """All rounds."""
        names = [row.name for row in self.wanted]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as bar:
            self.bar = bar
            task = bar.add_task("starting", total=self.rounds * len(names))
            if not self.plan.against:
                self.look_at_servers()
            for turn in range(self.rounds):
                left = list(names)
                bar.update(task, description=f"round {turn + 1}: {left[0]}")
                plan = msgspec.structs.replace(self.plan, seed=self.plan.seed + turn, tell=self.prepared)
                for name, measure in self.round_of(plan, names):
                    self.measured.setdefault(name, []).append(measure)
                    left.remove(name)
                    self.tell(turn, name, measure)
                    following = left[0] if left else names[0]
                    bar.update(task, advance=1, description=f"round {turn + 1}: {following}")
        self.complete = True

    def round_of(self, plan: Plan, names: Sequence[str]) -> Results:
        """One round, of our own servers or of the one there."""
        return against.round_of(plan, names) if plan.against else rows.round_of(plan, names)

    def prepared(self, what: str, done: int, total: int) -> None:
        """Move the bar of a preparation; it shows only while there is one."""
        if self.bar is None:
            return
        if self.preparing is None:
            self.preparing = self.bar.add_task(what)
        self.bar.update(self.preparing, description=what, completed=done, total=total, visible=done < total)

    def look_at_servers(self) -> None:
        """Versions and durability, from servers started as all others will be."""
        with self.plan.stack() as stack:
            self.servers = {name.lower(): version for name, _, version in (s.partition(" ") for s in stack.servers)}
            self.durability = stack.durability()

    def tell(self, turn: int, name: str, measure: Measure) -> None:
        """One line for the person who waits."""
        row = next(row for row in self.wanted if row.name == name)
        text = f"round {turn + 1}  {name:<13} {number(measure.figures[row.main]):>9} {row.unit}"
        for key in ("p50_ms", "p99_ms"):
            if key in measure.figures and key != row.main:
                text += f"  {key.removesuffix('_ms')} {number(measure.figures[key])} ms"
        self.console.print(text, highlight=False, markup=False)
        for fault in measure.faults:
            self.console.print(f"         WRONG: {fault}", style="bold red", markup=False)

    def report(self, command: str) -> Report:
        """What there is."""
        found = lines(self.wanted, self.measured)
        versions = machine.versions(self.servers)
        stolen = (machine.steal() - self.stolen) / (time.monotonic() - self.clock) / self.machine.cores * 100
        p = self.plan
        options: dict[str, str | int] = {
            "rounds": self.rounds, "seconds": p.seconds, "connections": p.connections, "players": p.players,
            "hints": p.hints, "samples": p.samples, "rate": p.rate, "servers": p.servers, "seed": p.seed,
            "workers": p.settings.workers, "relays": p.settings.relays,
        }  # fmt: skip
        if p.against:
            options["against"] = p.against
        ours = {} if p.against else {name: value for name, value in shown(p.settings) if name not in REPLACED}
        return Report(
            date=self.started.isoformat(timespec="seconds"),
            command=command,
            commit=self.commit,
            machine=self.machine,
            versions=versions,
            settings={**ours, **self.durability},
            options=options,
            steal_percent=round(stolen, 2),
            complete=self.complete,
            correct=all(row.correct for row in found),
            notes=remarks(self.machine, machine.RAM_DISKS, [] if p.against else self.wanted, versions),
            rows=found,
        )


def main(argv: Sequence[str]) -> int:
    """The program; its exit status."""
    if argv[:1] == ["compare"]:
        return compare.main(argv[1:])
    args = parser().parse_args(argv)
    if args.list:
        for row in rows.ROWS:
            print(f"{row.name:<13} {row.family:<12} {row.text}")
        return 0
    signal.signal(signal.SIGTERM, on_term)
    console = Console(stderr=True)
    seed = args.seed or random.SystemRandom().randrange(1, 2**31)
    try:
        wanted = rows.chosen([name for name in args.only.split(",") if name])
        if args.against and not (wanted := [row for row in wanted if row.name in against.NAMES]):
            raise UsageError(f"--against measures {', '.join(against.NAMES)} only")
        if nginx_program() is None:
            wanted = [row for row in wanted if row.name != "nginx"]
        missing = [name for name, path in rows.programs({row.name for row in wanted}).items() if path is None]
        if missing:
            raise UsageError(f"not installed: {', '.join(missing)} (Debian: wrk, postgresql, redis-tools)")
        run = Run(plan_of(args, seed), wanted, args.rounds, console)
        return finish(run, args.json, args.html, shlex.join(["python", "-m", "bench", *argv]))
    except LeaderboardError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except (psycopg.Error, OSError, http.client.HTTPException) as error:
        # A server or the API went away under the measurement. Status 1 would say that an answer was wrong.
        print(f"bench: {type(error).__name__}: {first_line(error)}", file=sys.stderr)
        return LeaderboardError.exit_code


def finish(run: Run, file: Path | None, pages: Path | None, command: str) -> int:
    """Measure, and report even when that was cut short."""
    try:
        run.measure()
        status = 0
    except KeyboardInterrupt:
        status = 130
    finally:
        report = run.report(command)
        if report.rows:
            publish(report, file, pages)
    return status or (0 if report.correct else 1)


def publish(report: Report, file: Path | None, pages: Path | None) -> None:
    """Table to standard output, JSON and pages where they are wanted."""
    if pages is not None:
        html.write(report, pages)
    text = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    if file == Path("-"):
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    # Without a terminal there is no width to fit into.
    show(report, Console(width=None if sys.stdout.isatty() else WIDTH))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)


def on_term(number: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does: stop what was started, report what was measured."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
