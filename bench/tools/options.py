"""The options of ``python -m bench``, and those that several commands share."""

from __future__ import annotations

import argparse
import ipaddress
import os
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.arguments import positive
from bench.system.run_options import PEER_PORT, RunOptions
from board.config.load import load
from board.config.settings import Settings
from board.errors import UsageError

EPILOG: Final = """\
Every round measures each row once, calibration included, on new durable servers in a new directory. Answers are
checked; a run in which a check fails ends with status 1. LEADERBOARD_* variables apply, except addresses.
docs/benchmarks.md explains the rows.

--against measures the rows post, top10, top100, rank, around and mixed, in a new season that is reset at the end if the
key has the scope admin. The key comes from LEADERBOARD_KEY and not from the command line, which is in the report.

--peer measures the rows post, top10, top100, rank and around on both sides in turn: POSTGRES_DSN and REDIS_ADDR tell
the original where its servers are. bench/README.md says how to build it.

exit status: 0 measured and correct, 1 a check failed, 2 usage or a missing program, 3 a server did not start,
70 a process of the system died, 130 interrupted (the report then holds what was measured so far)
"""


def make_parser(commands: Mapping[str, str] = {}) -> argparse.ArgumentParser:
    """The command line; ``--help`` lists the `commands`, each with its summary."""
    listed = "".join(f"\n  {name:<10} {summary}" for name, summary in commands.items())
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the whole system on this machine, and check its answers.",
        epilog=f"{EPILOG}\nother commands, each with a --help of its own (python -m bench COMMAND):{listed}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--list", action="store_true", help="list the rows")
    add("--only", metavar="NAME,...", default="", help="rows or families, with the calibration that they need (all)")
    add("--against", metavar="URL", default="", help="load this server, by HTTP alone; LEADERBOARD_KEY is sent")
    add("--yes-load-that-host", action="store_true", help="allow --against an address other than loopback")
    add("--peer", metavar="PROGRAM", type=Path, help="measure the original's own program beside ours, in turn")
    add("--peer-port", metavar="N", type=positive, default=PEER_PORT, help="the port on which it listens (%(default)s)")
    add("--json", metavar="FILE", type=Path, help="write the report there, too ('-': to standard output, no table)")
    add("--html", metavar="DIR", type=Path, help="write the report as a page with plots, and the plots as SVG")
    add("--rounds", type=positive, default=2, metavar="N", help="number of rounds (%(default)s)")
    add("--seconds", type=positive, default=5, metavar="S", help="length of each load (%(default)s)")
    add("--connections", type=positive, default=64, metavar="N", help="of wrk (%(default)s)")
    add("--workers", metavar="N", help="API worker processes (LEADERBOARD_WORKERS)")
    add("--relays", metavar="N", help="relay processes (LEADERBOARD_RELAYS)")
    add("--servers", choices=("system", "wheel"), default="system", help="PostgreSQL and Redis to start (%(default)s)")
    add("--players", type=positive, default=100_000, metavar="N", help="players of the board (%(default)s)")
    add(
        "--hints",
        type=positive,
        default=100_000,
        metavar="N",
        help="hints of the drained backlog (%(default)s)",
    )
    add("--samples", type=positive, default=200, metavar="N", help="samples of the time to visible (%(default)s)")
    add("--rate", type=positive, default=2_000, metavar="R", help="background writes/s of visible_busy (%(default)s)")
    add("--listeners", type=positive, default=1_000, metavar="N", help="listeners of live boards (%(default)s)")
    add("--idle-listeners", type=positive, default=10_000, metavar="N", help="those of live_idle (%(default)s)")
    add(
        "--seed",
        type=positive,
        default=None,
        metavar="N",
        help="seed of players and scores (random)",
    )
    add("--data-dir", type=Path, default=Path("/var/tmp"), metavar="DIR", help="where the servers write (%(default)s)")
    return made


def require_loopback(url: str) -> None:
    """Raises `UsageError` for an address other than this machine: a load without permission is an attack."""
    host = urlsplit(url).hostname or ""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise UsageError(f"--against {url}: {error}") from error
    if not all(ipaddress.ip_address(address).is_loopback for address in found):
        raise UsageError(f"{host} is not this machine; add --yes-load-that-host if its owner agrees")


def make_run_options(args: argparse.Namespace, seed: int) -> RunOptions:
    """The options of ``python -m bench``. Raises `InvalidSetting` and `UsageError`."""
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
        listeners=args.listeners,
        idle_listeners=args.idle_listeners,
        seed=seed,
        against=args.against.rstrip("/"),
        peer=None if args.peer is None else args.peer.absolute(),
        peer_port=args.peer_port,
    )


def load_settings(given: Mapping[str, str]) -> Settings:
    """The settings of the environment, replaced by those of `given`. Raises `InvalidSetting`."""
    # The original has no keys, so the rows are measured without. LEADERBOARD_AUTH=keys measures all rows with a key.
    return load({"LEADERBOARD_AUTH": "open", **os.environ, **given})


def require_directory(path: Path) -> Path:
    """The directory as an absolute path. Raises `UsageError` when there is none."""
    if not path.is_dir():
        raise UsageError(f"--data-dir {path} is not a directory")
    return path.resolve()


def make_system_options(args: argparse.Namespace) -> RunOptions:
    """The options of commands that measure a `LoadedSystem`. Raises `InvalidSetting` and `UsageError`."""
    return RunOptions(
        settings=load_settings({}),
        parent=require_directory(args.data_dir),
        servers=args.servers,
        seconds=args.seconds,
        connections=args.connections,
        players=args.players,
        hints=0,
        samples=0,
        rate=0,
        seed=args.seed or random.SystemRandom().randrange(1, 2**31),
    )
