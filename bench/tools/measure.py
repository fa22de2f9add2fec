"""Measure rows on this machine: ``python -m bench`` without a command. It starts its own servers."""

from __future__ import annotations

import argparse
import random
import shlex
from collections.abc import Collection, Mapping, Sequence

import msgspec
from rich.console import Console

from bench.rows import catalog, remote_server, rounds
from bench.rows.figures import Results
from bench.system.programs import nginx_program
from bench.system.run_options import Plan
from bench.tools.options import parser, plan_of
from bench.tools.run import Run, attempt, finish
from board.errors import UsageError


def main(argv: Sequence[str], commands: Mapping[str, str]) -> int:
    """Measure what the arguments say; the exit status. `commands` are the summaries that ``--help`` lists."""
    args = parser(commands).parse_args(argv)
    if args.list:
        for row in catalog.ROWS:
            print(f"{row.name:<13} {row.family:<12} {row.text}")
        return 0
    return attempt("bench", lambda: measured(args, shlex.join(["python", "-m", "bench", *argv])))


def measured(args: argparse.Namespace, command: str) -> int:
    """Measure what the options say."""
    wanted = chosen(args)
    names = [row.name for row in wanted]
    plan = plan_of(args, args.seed or random.SystemRandom().randrange(1, 2**31))
    options = options_of(plan, args.rounds)
    console = Console(stderr=True)
    run = Run(
        plan, wanted, lambda p: measure_rounds(p, args.rounds, names), args.rounds * len(wanted), options, console
    )
    return finish(run, args.json, args.html, command)


def chosen(args: argparse.Namespace) -> list[catalog.Row]:
    """The rows that are wanted and can be measured here. Raises `UsageError`."""
    wanted = catalog.chosen([name for name in args.only.split(",") if name])
    if args.against and not (wanted := [row for row in wanted if row.name in remote_server.NAMES]):
        raise UsageError(f"--against measures {', '.join(remote_server.NAMES)} only")
    if nginx_program() is None:
        wanted = [row for row in wanted if row.name != "nginx"]
    missing = [name for name, path in rounds.find_programs({row.name for row in wanted}).items() if path is None]
    if missing:
        raise UsageError(f"not installed: {', '.join(missing)} (Debian: wrk, postgresql, redis-tools)")
    return wanted


def measure_rounds(plan: Plan, count: int, names: Collection[str]) -> Results:
    """Each round has a seed of its own, and measures our own servers or the one there."""
    for turn in range(count):
        mine = msgspec.structs.replace(plan, seed=plan.seed + turn)
        yield from remote_server.round_of(mine, names) if plan.against else rounds.measure_round(mine, names)


def options_of(p: Plan, count: int) -> dict[str, str | int]:
    """For the report."""
    options: dict[str, str | int] = {
        "rounds": count, "seconds": p.seconds, "connections": p.connections, "players": p.players,
        "hints": p.hints, "samples": p.samples, "rate": p.rate, "servers": p.servers, "seed": p.seed,
        "workers": p.settings.workers, "relays": p.settings.relays,
    }  # fmt: skip
    return options | ({"against": p.against} if p.against else {})
