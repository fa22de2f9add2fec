"""Measures rows on this machine: ``python -m bench`` without a command. It starts its own servers."""

from __future__ import annotations

import argparse
import random
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from rich.console import Console

from bench.rows import beside_original, calibration, catalog, remote_server, rounds
from bench.rows.figures import Results
from bench.system.programs import nginx_program, require
from bench.system.run_options import RunOptions
from bench.tools.options import make_parser, make_run_options
from bench.tools.run import Run, measure_and_publish, run_tool
from board.errors import UsageError


def main(argv: Sequence[str], commands: Mapping[str, str]) -> int:
    """Run the command; returns the exit status. `commands` are the summaries that ``--help`` lists."""
    args = make_parser(commands).parse_args(argv)
    if args.list:
        for row in catalog.ROWS:
            print(f"{row.name:<13} {row.family:<12} {row.text}")
        return 0
    return run_tool("bench", lambda: run(args, shlex.join(["python", "-m", "bench", *argv])))


def run(args: argparse.Namespace, command: str) -> int:
    """Measure and publish. Raises `UsageError`."""
    wanted = select(args)
    names = [row.name for row in wanted]
    options = make_run_options(args, args.seed or random.SystemRandom().randrange(1, 2**31))
    shown = describe_options(options, args.rounds)
    console = Console(stderr=True)
    sides = 1 if options.peer is None else 2
    steps = args.rounds * sum(1 if row.family == "calibration" else sides for row in wanted)
    under_way = Run(options, wanted, lambda o: measure_rounds(o, args.rounds, names), steps, shown, console)
    return measure_and_publish(under_way, args.json, args.html, command)


def select(args: argparse.Namespace) -> list[catalog.Row]:
    """The rows that are selected and can be measured. Raises `UsageError` when a program is not installed."""
    wanted = catalog.select_rows([name for name in args.only.split(",") if name])
    if args.against and not (wanted := [row for row in wanted if row.name in remote_server.NAMES]):
        raise UsageError(f"--against measures {', '.join(remote_server.NAMES)} only")
    if args.peer is not None:
        measured = (*calibration.NAMES, *beside_original.NAMES)
        if args.against or not (wanted := [row for row in wanted if row.name in measured]):
            raise UsageError(f"--peer measures {', '.join(beside_original.NAMES)} only, and not with --against")
    if nginx_program() is None:
        wanted = [row for row in wanted if row.name != "nginx"]
        if not wanted:
            require({"nginx": None})
    if not args.against:
        require(rounds.find_programs({row.name for row in wanted}))
    return wanted


def measure_rounds(options: RunOptions, count: int, names: Collection[str]) -> Results:
    """Measure `count` rounds of the rows `names`, each with another seed, on new servers or on `options.against`."""
    for turn in range(count):
        mine = msgspec.structs.replace(options, seed=options.seed + turn)
        yield from find_rounds(mine)(mine, names)


def find_rounds(options: RunOptions) -> Callable[[RunOptions, Collection[str]], Results]:
    """The function that measures a round with these options."""
    if options.against:
        return remote_server.measure_round
    return rounds.measure_round if options.peer is None else beside_original.measure_round


def describe_options(p: RunOptions, count: int) -> dict[str, str | int]:
    """The options as the report has them."""
    shown: dict[str, str | int] = {
        "rounds": count, "seconds": p.seconds, "connections": p.connections, "players": p.players,
        "hints": p.hints, "samples": p.samples, "rate": p.rate, "listeners": p.listeners,
        "idle_listeners": p.idle_listeners, "servers": p.servers, "seed": p.seed,
        "workers": p.settings.workers, "relays": p.settings.relays,
    }  # fmt: skip
    return shown | ({"against": p.against} if p.against else {}) | ({} if p.peer is None else {"peer": str(p.peer)})
