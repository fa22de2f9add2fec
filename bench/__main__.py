"""The benchmark: ``python -m bench``. It starts its own servers, and leaves nothing behind."""

from __future__ import annotations

import argparse
import datetime
import http.client
import os
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

from bench import compare, html, machine, rows
from bench.calibrate import nginx_program
from bench.figures import Measure
from bench.plan import Plan
from bench.report import Report, lines, number, remarks, show
from board.errors import LeaderboardError, UsageError
from board.settings import load
from board.shown import shown
from board.sql import first_line

WIDTH: Final = 120
REPLACED: Final = ("DATABASE_URL", "REDIS_URL", "LEADERBOARD_BIND", "LEADERBOARD_DATA_DIR", "LEADERBOARD_SERVERS")
"""Settings that a run chooses by itself, whatever the environment says."""
EPILOG: Final = """\
Every round measures each row once, calibration lines included, on fresh durable servers in a new directory. Answers
are checked; a run in which a check fails ends with status 1. LEADERBOARD_* variables apply as everywhere, except the
addresses. docs/benchmarks.md explains the rows.

`python -m bench compare A B` measures two commits in turn; it has a --help of its own.

exit status: 0 measured and correct, 1 a check failed, 2 usage or a missing program, 3 a server did not start,
70 a process of the system died, 130 interrupted (the report then holds what was measured so far)
"""


def positive(text: str) -> int:
    """An argument that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the whole system on this machine, and check that its answers are right.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--list", action="store_true", help="show the rows and end")
    add("--only", metavar="NAME,...", default="", help="rows or families, with the calibration lines they need (all)")
    add("--json", metavar="FILE", type=Path, help="write the report there, too ('-': to standard output, no table)")
    add("--html", metavar="DIR", type=Path, help="write the report as a page with plots, and the plots as SVG")
    add("--rounds", type=positive, default=3, metavar="N", help="times each row is measured (%(default)s)")
    add("--seconds", type=positive, default=10, metavar="S", help="length of each load (%(default)s)")
    add("--connections", type=positive, default=64, metavar="N", help="of wrk (%(default)s)")
    add("--workers", metavar="N", help="API worker processes (LEADERBOARD_WORKERS)")
    add("--relays", metavar="N", help="relay processes (LEADERBOARD_RELAYS)")
    add("--servers", choices=("system", "wheel"), default="system", help="PostgreSQL and Redis to start (%(default)s)")
    add("--players", type=positive, default=100_000, metavar="N", help="on the board that is read (%(default)s)")
    add("--hints", type=positive, default=100_000, metavar="N", help="in the backlog that is drained (%(default)s)")
    add("--samples", type=positive, default=200, metavar="N", help="of the time to visible (%(default)s)")
    add("--rate", type=positive, default=2_000, metavar="R", help="background writes/s of visible_busy (%(default)s)")
    add("--seed", type=positive, default=None, metavar="N", help="of players and scores (drawn, and reported)")
    add("--data-dir", type=Path, default=Path("/var/tmp"), metavar="DIR", help="where the servers write (%(default)s)")
    return made


def plan_of(args: argparse.Namespace, seed: int) -> Plan:
    """The options as the rows need them. Raises `InvalidSetting` and `UsageError`."""
    given = {"LEADERBOARD_WORKERS": args.workers, "LEADERBOARD_RELAYS": args.relays}
    # Open is what the original is compared with; LEADERBOARD_AUTH=keys measures every row with a key.
    env = {
        "LEADERBOARD_AUTH": "open",
        **os.environ,
        **{name: value for name, value in given.items() if value is not None},
    }
    if not args.data_dir.is_dir():
        raise UsageError(f"--data-dir {args.data_dir} is no directory")
    return Plan(
        settings=load(env),
        parent=args.data_dir.resolve(),
        servers=args.servers,
        seconds=args.seconds,
        connections=args.connections,
        players=args.players,
        hints=args.hints,
        samples=args.samples,
        rate=args.rate,
        seed=seed,
    )


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
            self.look_at_servers()
            for turn in range(self.rounds):
                left = list(names)
                bar.update(task, description=f"round {turn + 1}: {left[0]}")
                plan = msgspec.structs.replace(self.plan, seed=self.plan.seed + turn, tell=self.prepared)
                for name, measure in rows.round_of(plan, names):
                    self.measured.setdefault(name, []).append(measure)
                    left.remove(name)
                    self.tell(turn, name, measure)
                    following = left[0] if left else names[0]
                    bar.update(task, advance=1, description=f"round {turn + 1}: {following}")
        self.complete = True

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
        ours = {name: value for name, value in shown(p.settings) if name not in REPLACED}
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
            notes=remarks(self.machine, machine.RAM_DISKS, self.wanted, versions),
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
