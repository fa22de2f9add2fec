"""The options of ``python -m bench``."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.arguments import positive
from bench.system.run_options import RunOptions
from board.config.settings import Settings, load
from board.errors import UsageError

EPILOG: Final = """\
Every round measures each row once, calibration lines included, on fresh durable servers in a new directory. Answers
are checked; a run in which a check fails ends with status 1. LEADERBOARD_* variables apply as everywhere, except the
addresses. docs/benchmarks.md explains the rows.

--against measures the rows
post, top10, top100, rank, around and mixed, in a season of its own that it resets at the end where the key may. The key
comes from LEADERBOARD_KEY, never from the command line, which is in the report.

exit status: 0 measured and correct, 1 a check failed, 2 usage or a missing program, 3 a server did not start,
70 a process of the system died, 130 interrupted (the report then holds what was measured so far)
"""


def make_parser(commands: Mapping[str, str] = {}) -> argparse.ArgumentParser:
    """The arguments; ``--help`` lists the `commands`, each with its summary."""
    listed = "".join(f"\n  {name:<10} {summary}" for name, summary in commands.items())
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the whole system on this machine, and check that its answers are right.",
        epilog=f"{EPILOG}\nother commands, each with a --help of its own (python -m bench COMMAND):{listed}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--list", action="store_true", help="show the rows and end")
    add("--only", metavar="NAME,...", default="", help="rows or families, with the calibration lines they need (all)")
    add("--against", metavar="URL", default="", help="load the server there, by HTTP alone; LEADERBOARD_KEY is sent")
    add("--yes-load-that-host", action="store_true", help="--against an address that is not this machine's loopback")
    add("--json", metavar="FILE", type=Path, help="write the report there, too ('-': to standard output, no table)")
    add("--html", metavar="DIR", type=Path, help="write the report as a page with plots, and the plots as SVG")
    add("--rounds", type=positive, default=2, metavar="N", help="times each row is measured (%(default)s)")
    add("--seconds", type=positive, default=5, metavar="S", help="length of each load (%(default)s)")
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


def require_loopback(url: str) -> None:
    """A benchmark is an attack on whoever did not ask for it. Raises `UsageError` for any host but this machine."""
    host = urlsplit(url).hostname or ""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise UsageError(f"--against {url}: {error}") from error
    if not all(ipaddress.ip_address(address).is_loopback for address in found):
        raise UsageError(f"{host} is not this machine; add --yes-load-that-host if its owner knows what comes")


def make_run_options(args: argparse.Namespace, seed: int) -> RunOptions:
    """The options as the rows need them. Raises `InvalidSetting` and `UsageError`."""
    if args.against and not args.yes_load_that_host:
        require_loopback(args.against)
    given = {"LEADERBOARD_WORKERS": args.workers, "LEADERBOARD_RELAYS": args.relays}
    return RunOptions(
        settings=load_settings({name: value for name, value in given.items() if value is not None}),
        parent=require_directory(args.data_dir),
        servers=args.servers,
        seconds=args.seconds,
        connections=args.connections,
        players=args.players,
        hints=args.hints,
        samples=args.samples,
        rate=args.rate,
        seed=seed,
        against=args.against.rstrip("/"),
    )


def load_settings(given: Mapping[str, str]) -> Settings:
    """The environment's settings, those given before them. Raises `InvalidSetting`."""
    # Open is what the original is compared with; LEADERBOARD_AUTH=keys measures every row with a key.
    return load({"LEADERBOARD_AUTH": "open", **os.environ, **given})


def require_directory(path: Path) -> Path:
    """Where servers write. Raises `UsageError`."""
    if not path.is_dir():
        raise UsageError(f"--data-dir {path} is no directory")
    return path.resolve()
