"""Where the microseconds of one request go: ``python -m bench anatomy post`` (or rank, around, top10, top100).

Three looks at a system under a closed loop: py-spy samples a worker (and, for a POST, a relay) and says which function
was running; the kernel's clocks say which process of PostgreSQL was; Redis's own statistics say which command was. All
are put into microseconds of a request by the processor time that `bench.budget` counts.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.arguments import positive
from bench.load import closed_loop
from bench.report import page
from bench.rows.loaded_system import READS, WARM_S, LoadedSystem
from bench.system import machine, processor_time
from bench.system.programs import pyspy
from bench.system.stack import Stack
from bench.tools.run import run_tool
from bench.tools.scale import make_system_options
from board.errors import ChildFailed, UsageError
from board.process.children import spawn

RATE: Final = 400
"""Samples a second."""
SHOWN: Final = 25
LEAST_US: Final = 0.5
"""Less than this is one of many in a page."""
POST: Final = "post"
POSTED: Final = "hot_season"
"""The load of `bench.systems` that submits for new players."""


class Anatomy(msgspec.Struct, frozen=True):
    """Microseconds of one request: by kind of process, by function of worker and relay, by kind of PostgreSQL's
    processes. `redis` has, for each command, calls and microseconds inside the command, as Redis counts them."""

    request: str
    per_s: float
    budget: dict[str, float]
    functions: dict[str, dict[str, float]]
    postgres: dict[str, float]
    redis: dict[str, tuple[float, float]]


def measure(system: LoadedSystem, request: str, seconds: int) -> Anatomy:
    """Load the system with that request, and look."""
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
    """Load it, until the relays are idle, too; how many got a good answer. Raises `ChildFailed` for any other."""
    if request == POST:
        done = system.run_posts(POSTED, seconds, closed_loop.do_nothing)
        system.stack.wait_until_empty()
    else:
        done = system.run_reads(request, seconds)
    if done.errors or not done.accepted:
        raise ChildFailed(f"{done.errors} of {done.answers} answers were errors")
    return done.accepted


def find_busiest(system: LoadedSystem, request: str) -> dict[str, int]:
    """The process of each kind that a moment of this load keeps busiest: supervisors and exporters rest."""
    roles = ("worker", "relay") if request == POST else ("worker",)
    pids = {role: processor_time.find_processes(system.stack)[role] for role in roles}
    before = {pid: processor_time.cpu_seconds(pid) for found in pids.values() for pid in found}
    run_load(system, request, WARM_S)
    return {
        role: max(found, key=lambda pid: processor_time.cpu_seconds(pid) - before[pid]) for role, found in pids.items()
    }


def start_sampler(pid: int, seconds: int, file: Path) -> subprocess.Popen[bytes]:
    """py-spy on that process for so long."""
    # Not stopped for each sample: that would slow down what is measured.
    argv = [pyspy() or "py-spy", "record", "--nonblocking", "--format", "raw", "--rate", str(RATE), "--pid", str(pid)]
    options = ["--duration", str(seconds), "--output", str(file)]
    return spawn([*argv, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def read_samples(process: subprocess.Popen[bytes], file: Path) -> str:
    """What it saw: lines of ``frame;frame;… count``. Raises `ChildFailed`."""
    _, said = process.communicate()
    if process.returncode != 0 or not file.exists():
        raise ChildFailed(f"py-spy ended with status {process.returncode}: {said.decode(errors='replace')[-300:]}")
    return file.read_text(encoding="utf-8")


def divide_by_function(stacks: str, microseconds: float) -> dict[str, float]:
    """Those microseconds by the function that ran: the innermost frame, whose C calls are its own.

    py-spy does not stop the process, so a name it reads may be torn and break a line in two: the part without a count
    is left out.
    """
    counts: Counter[str] = Counter()
    for line in stacks.split("\n"):
        frames, _, count = line.rpartition(" ")
        if count.isdecimal():
            counts[function_name(frames.rpartition(";")[2])] += int(count)
    total = sum(counts.values())
    return {name: microseconds * count / total for name, count in counts.most_common()}


def function_name(frame: str) -> str:
    """``name (path:line)`` without the line, and the last two parts of the path."""
    name, _, place = frame.partition(" (")
    parts = place.rpartition(":")[0].split("/")
    return f"{'/'.join(parts[-2:])} {name}".strip() or "(not seen)"


def read_backend_seconds(stack: Stack) -> dict[str, float]:
    """Time on a core of PostgreSQL's processes, by who they work for."""
    query = "SELECT pid, coalesce(nullif(application_name, ''), backend_type) FROM pg_stat_activity"
    found: dict[str, float] = {}
    for pid, kind in stack.db.execute(query).fetchall():
        found[kind] = found.get(kind, 0.0) + processor_time.cpu_seconds(pid)
    return found


def read_redis_calls(stack: Stack) -> dict[str, tuple[int, int]]:
    """Calls of each command and microseconds in it, so far. What a script calls is in the script's time, too."""
    found = {}
    for line in stack.redis.call("INFO", "commandstats").decode().splitlines():
        name, _, text = line.removeprefix("cmdstat_").partition(":")
        if text:
            values = dict(pair.split("=") for pair in text.split(","))
            found[name] = int(values["calls"]), int(values["usec"])
    return found


def difference(now: tuple[int, int], then: tuple[int, int]) -> tuple[int, int]:
    """Of two looks."""
    return now[0] - then[0], now[1] - then[1]


def render(found: Anatomy, circumstances: str) -> str:
    """For docs/performance.md."""
    lines = [f"{circumstances} {found.per_s:,.0f}/s.", "", "| on a core for each | µs |", "|---|---|"]
    processes = {name.removesuffix("_us"): value for name, value in found.budget.items() if name != "us"}
    for title, figures, least in (
        ("", processes, 0.0),
        *((f"{role}: ", functions, LEAST_US) for role, functions in found.functions.items()),
        ("PostgreSQL: ", found.postgres, LEAST_US),
    ):
        shown = {name: value for name, value in figures.items() if value >= least}
        lines += [f"| {title}{name} | {value:.1f} |" for name, value in sorted(shown.items(), key=lambda x: -x[1])]
        if rest := sum(figures.values()) - sum(shown.values()):
            lines.append(f"| {title}all others | {rest:.1f} |")
    lines += [
        f"| Redis: {name}, {calls:.3f} calls | {us:.1f} |"
        for name, (calls, us) in sorted(found.redis.items(), key=lambda item: -item[1][1])
        if us >= LEAST_US
    ]
    return "\n".join(lines) + "\n"


def circumstances(request: str, seconds: int) -> str:
    """When, where and by what."""
    here, commit = machine.read_machine(Path("/var/tmp")), machine.read_commit()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"{today}, commit {commit.commit[:12]}: `python -m bench anatomy {request} --seconds {seconds}`, {here.cpu}, "
        f"{here.cores} cores, load {here.load} at the start;"
    )


def print_anatomy(found: Anatomy, console: Console) -> None:
    """For people."""
    console.print(f"{found.request}: {found.per_s:,.0f}/s; on a core for each:", highlight=False)
    console.print(make_table("process", {k.removesuffix("_us"): v for k, v in found.budget.items() if k != "us"}))
    for role, functions in found.functions.items():
        console.print(make_table(f"function of a {role}", functions))
    console.print(make_table("process of PostgreSQL", found.postgres))
    table = Table("command of Redis", "calls", "µs", header_style="bold", box=SIMPLE_HEAD)
    for name, (calls, us) in sorted(found.redis.items(), key=lambda item: -item[1][1]):
        table.add_row(name, f"{calls:.3f}", f"{us:.2f}")
    console.print(table)


def make_table(title: str, microseconds: Mapping[str, float]) -> Table:
    """The greatest first."""
    table = Table(title, "µs", header_style="bold", box=SIMPLE_HEAD)
    for name, value in sorted(microseconds.items(), key=lambda item: -item[1])[:SHOWN]:
        table.add_row(name, f"{value:.2f}")
    return table


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        prog="python -m bench anatomy", description="Where the microseconds of one request go, on this machine."
    )
    add = made.add_argument
    add("request", choices=(POST, *READS), help="what is asked")
    add("--players", type=positive, default=100_000, metavar="N", help="on the board (%(default)s)")
    add("--seconds", type=positive, default=10, metavar="S", help="length of the load (%(default)s)")
    add("--connections", type=positive, default=64, metavar="N", help="of wrk (%(default)s)")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--write", type=Path, metavar="PAGE", help="replace the table of this request there (docs/performance.md)")
    add("--servers", choices=("system", "wheel"), default="system", help="PostgreSQL and Redis to start (%(default)s)")
    add("--seed", type=positive, default=1, metavar="N", help="of the load (%(default)s)")
    add("--data-dir", type=Path, default=Path("/var/tmp"), metavar="DIR", help="where the servers write (%(default)s)")
    return made


def run(args: argparse.Namespace) -> int:
    """Start a system, look, print."""
    found_at = {"wrk": shutil.which("wrk"), "py-spy": pyspy()}
    if missing := [name for name, path in found_at.items() if path is None]:
        raise UsageError(f"not installed: {', '.join(missing)} (Debian: wrk; pip install -e '.[bench]' for py-spy)")
    options = make_system_options(args)
    where = circumstances(args.request, args.seconds)
    with options.stack() as stack:
        system = LoadedSystem(options, stack, 1, args.players)
        system.load()
        with system.running():
            found = measure(system, args.request, args.seconds)
    if args.write:
        page.write_block(args.write, render(found, where), f"anatomy-{args.request}")
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        print_anatomy(found, Console())
    return 0


def main(argv: Sequence[str]) -> int:
    """The program; its exit status."""
    args = make_parser().parse_args(argv)
    return run_tool("bench anatomy", lambda: run(args))
