"""Where the processor time of one request goes: ``python -m bench anatomy post`` (or rank, around, top10, top100).

Three sources under a closed-loop load: py-spy samples the functions of a worker (and, for a POST, of a relay), the
kernel counts the time of PostgreSQL's processes, and Redis counts calls and time of its commands. All times are given
per request; those of functions are shares of the processor time that the kernel counts.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.arguments import positive
from bench.load import closed_loop
from bench.report import page
from bench.report.anatomy import Anatomy, AnatomyReport, budget_of, render
from bench.rows.loaded_system import READS, WARM_S, LoadedSystem
from bench.system import machine, processor_time
from bench.system.programs import last_line, pyspy, require
from bench.system.stack import Stack
from bench.tools.options import make_system_options
from bench.tools.run import run_tool, write_json
from board.errors import ChildFailed
from board.process.children import spawn

RATE: Final = 400
"""Samples of py-spy per second."""
SHOWN: Final = 25
"""Lines of a table on the terminal."""
POST: Final = "post"
POSTED: Final = "hot_season"
"""The load of `LoadedSystem.run_posts` that submits for new players."""


def measure(system: LoadedSystem, request: str, seconds: int) -> Anatomy:
    """Run the load of `request` for `seconds`, and measure meanwhile. Raises `ChildFailed`."""
    stack = system.stack
    watched = find_busiest(system, request)
    with tempfile.TemporaryDirectory(prefix="leaderboard-anatomy-") as directory:
        files = {role: Path(directory, f"{role}.txt") for role in watched}
        samplers = {role: start_sampler(pid, seconds, files[role]) for role, pid in watched.items()}
        before, backends, commands = (
            processor_time.read_processor_time(stack),
            read_backend_seconds(stack),
            read_redis_calls(stack),
        )
        done = run_load(system, request, seconds)
        spent = processor_time.read_processor_time(stack).per_request(before, done)
        used = {kind: now - backends.get(kind, 0.0) for kind, now in read_backend_seconds(stack).items()}
        called = {name: difference(now, commands.get(name, (0, 0))) for name, now in read_redis_calls(stack).items()}
        stacks = {role: read_samples(process, files[role]) for role, process in samplers.items()}
    return Anatomy(
        request=request,
        per_s=done / seconds,
        budget=spent,
        functions={role: divide_by_function(found, spent[f"{role}_us"]) for role, found in stacks.items()},
        postgres={kind: value * 1e6 / done for kind, value in used.items()},
        redis={name: (calls / done, us / done) for name, (calls, us) in called.items() if calls},
    )


def run_load(system: LoadedSystem, request: str, seconds: int) -> int:
    """Run the load until the relays are idle; returns the number of requests. Raises `ChildFailed` for any error."""
    if request == POST:
        done = system.run_posts(POSTED, seconds, closed_loop.do_nothing)
        system.stack.wait_until_empty()
    else:
        done = system.run_reads(request, seconds)
    if done.errors or not done.accepted:
        raise ChildFailed(f"{done.errors} of {done.answers} answers were errors")
    return done.accepted


def find_busiest(system: LoadedSystem, request: str) -> dict[str, int]:
    """The worker (and relay) that is busiest during a short load, so that no supervisor or exporter is sampled."""
    roles = ("worker", "relay") if request == POST else ("worker",)
    pids = {role: processor_time.find_processes(system.stack)[role] for role in roles}
    before = {pid: processor_time.cpu_seconds(pid) for found in pids.values() for pid in found}
    run_load(system, request, WARM_S)
    return {
        role: max(found, key=lambda pid: processor_time.cpu_seconds(pid) - before[pid]) for role, found in pids.items()
    }


def start_sampler(pid: int, seconds: int, file: Path) -> subprocess.Popen[bytes]:
    """Start py-spy on a process for `seconds`; it writes to `file`."""
    # Without --nonblocking, py-spy stops the process for each sample, which slows it down.
    argv = [pyspy() or "py-spy", "record", "--nonblocking", "--format", "raw", "--rate", str(RATE), "--pid", str(pid)]
    options = ["--duration", str(seconds), "--output", str(file)]
    return spawn([*argv, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def read_samples(process: subprocess.Popen[bytes], file: Path) -> str:
    """The samples of py-spy, lines of ``frame;frame;… count``, once it has ended. Raises `ChildFailed`."""
    _, said = process.communicate()
    if process.returncode != 0 or not file.exists():
        raise ChildFailed(f"py-spy ended with status {process.returncode}: {last_line(said.decode(errors='replace'))}")
    return file.read_text(encoding="utf-8")


def divide_by_function(stacks: str, microseconds: float) -> dict[str, float]:
    """Divide `microseconds` by the function that ran, the innermost Python frame; most frequent first.

    py-spy does not stop the process, so it may read a torn name that breaks a line in two. The part without a count is
    left out.
    """
    counts: Counter[str] = Counter()
    for line in stacks.split("\n"):
        frames, _, count = line.rpartition(" ")
        if count.isdecimal():
            counts[function_name(frames.rpartition(";")[2])] += int(count)
    total = sum(counts.values())
    return {name: microseconds * count / total for name, count in counts.most_common()}


def function_name(frame: str) -> str:
    """``path name`` of a frame ``name (path:line)``, with the last two parts of the path."""
    name, _, place = frame.partition(" (")
    parts = place.rpartition(":")[0].split("/")
    return f"{'/'.join(parts[-2:])} {name}".strip() or "(not seen)"


def read_backend_seconds(stack: Stack) -> dict[str, float]:
    """Seconds on a core of PostgreSQL's processes, by application name or type."""
    query = "SELECT pid, coalesce(nullif(application_name, ''), backend_type) FROM pg_stat_activity"
    found: dict[str, float] = {}
    for pid, kind in stack.db.execute(query).fetchall():
        found[kind] = found.get(kind, 0.0) + processor_time.cpu_seconds(pid)
    return found


def read_redis_calls(stack: Stack) -> dict[str, tuple[int, int]]:
    """Calls and microseconds of each command since the start. The time of a script includes its commands."""
    found = {}
    for line in stack.redis.call("INFO", "commandstats").decode().splitlines():
        name, _, text = line.removeprefix("cmdstat_").partition(":")
        if text:
            values = dict(pair.split("=") for pair in text.split(","))
            found[name] = int(values["calls"]), int(values["usec"])
    return found


def difference(now: tuple[int, int], then: tuple[int, int]) -> tuple[int, int]:
    """Calls and microseconds between two readings."""
    return now[0] - then[0], now[1] - then[1]


def print_anatomy(found: Anatomy, console: Console) -> None:
    """Print the tables."""
    console.print(f"{found.request}: {found.per_s:,.0f}/s; time on a core per request:", highlight=False)
    console.print(make_table("process", budget_of(found)))
    for role, functions in found.functions.items():
        console.print(make_table(f"function of a {role}", functions))
    console.print(make_table("process of PostgreSQL", found.postgres))
    table = Table("command of Redis", "calls", "µs", header_style="bold", box=SIMPLE_HEAD)
    for name, (calls, us) in sorted(found.redis.items(), key=lambda item: -item[1][1]):
        table.add_row(name, f"{calls:.3f}", f"{us:.2f}")
    console.print(table)


def make_table(title: str, microseconds: Mapping[str, float]) -> Table:
    """A table of microseconds, the greatest first."""
    table = Table(title, "µs", header_style="bold", box=SIMPLE_HEAD)
    for name, value in sorted(microseconds.items(), key=lambda item: -item[1])[:SHOWN]:
        table.add_row(name, f"{value:.2f}")
    return table


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench anatomy",
        description="Show where the processor time of one request goes.",
    )
    add = made.add_argument
    add("request", choices=(POST, *READS), help="the request")
    add("--players", type=positive, default=100_000, metavar="N", help="on the board (%(default)s)")
    add("--seconds", type=positive, default=10, metavar="S", help="length of the load (%(default)s)")
    add("--connections", type=positive, default=64, metavar="N", help="of wrk (%(default)s)")
    add("--json", metavar="FILE", type=Path, help="write the report there, too ('-': to standard output, no table)")
    add("--write", type=Path, metavar="PAGE", help="replace the tables of this request there (docs/performance.md)")
    add("--servers", choices=("system", "wheel"), default="system", help="PostgreSQL and Redis to start (%(default)s)")
    add("--seed", type=positive, default=1, metavar="N", help="of the load (%(default)s)")
    add("--data-dir", type=Path, default=Path("/var/tmp"), metavar="DIR", help="where the servers write (%(default)s)")
    return made


def run(args: argparse.Namespace, command: str) -> int:
    """Start a system, measure, and publish the result. Raises `UsageError` and `ChildFailed`."""
    require({"wrk": shutil.which("wrk"), "py-spy": pyspy()})
    options = make_system_options(args)
    # Read before the load, which raises the load average.
    here, commit, started = (
        machine.read_machine(options.parent),
        machine.read_commit(),
        datetime.datetime.now(datetime.UTC),
    )
    with options.stack() as stack:
        system = LoadedSystem(options, stack, 1, args.players)
        system.load()
        with system.running():
            found = measure(system, args.request, args.seconds)
    report = AnatomyReport(started.isoformat(timespec="seconds"), command, commit, here, found)
    if args.json is not None:
        write_json(report, args.json)
    if args.write:
        page.write_block(args.write, render(report, args.json), report.block)
    if args.json != Path("-"):
        print_anatomy(found, Console())
    return 0


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
    return run_tool("bench anatomy", lambda: run(args, shlex.join(["python", "-m", "bench", "anatomy", *argv])))
