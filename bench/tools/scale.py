"""Figures by size: ``python -m bench scale`` compares big systems with a small one of 10,000 players in one season.

The big systems have ten million players in one season, and 100,000 seasons. All systems are loaded first (COPY into
`score`, then `leaderboard rebuild`, as a dump is restored), read into PostgreSQL's memory, and kept running. Each round
measures them in turn, so that a slow minute of the machine affects all. docs/capacity.md has the memory and disk that
this takes.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from bench.arguments import positive
from bench.rows import topology
from bench.rows.catalog import Row
from bench.rows.figures import Measure, Results
from bench.rows.loaded_system import POSTS, READS, LoadedSystem
from bench.rows.rounds import find_programs
from bench.system import sequential_scans
from bench.system.programs import require
from bench.system.run_options import RunOptions
from bench.tools.options import make_system_options
from bench.tools.run import Run, measure_and_publish, run_tool

EPILOG: Final = """\
exit status: as of `python -m bench`. The ratios compare throughput with that of the small board in the same round.
"""
LOADED: Final = ("load", "disk", "rebuild", "memory")
MASTERS: Final = (0, 1, 2, 3)
"""The topologies that are compared; 0 is one Redis."""
RANKS: Final = ("rank", "around")
"""Reads that are compared for many seasons and for moved players. The top of one season comes from a cache."""


class Sizes(msgspec.Struct, frozen=True):
    """Sizes: one season of `players` and `seasons` of `each` players, compared with one season of `small` players."""

    players: int
    seasons: int
    each: int
    small: int
    rounds: int


def list_rows(s: Sizes) -> list[Row]:
    """All rows, in the order of measurement."""
    board, many = f"{s.players:,} players in one season", f"{s.seasons:,} seasons of {s.each:,} players"
    rows = []
    for prefix, what, unit in (("board", board, "bytes"), ("many", many, "bytes")):
        rows += [
            Row(f"{prefix}_load", prefix, f"COPY of {what} into PostgreSQL (players)"),
            Row(f"{prefix}_disk", prefix, f"PostgreSQL's table and index, {what}, per player", "bytes", unit),
            Row(f"{prefix}_rebuild", prefix, f"rebuild of {what} (players)"),
            Row(f"{prefix}_memory", prefix, f"Redis memory, {what}, per player", "bytes", unit),
        ]
    rows += [Row(f"board_{name}", "board", f"{name}, {board}, against small", "of_small", "x") for name in READS]
    rows += [Row(f"many_{name}", "many", f"{name}, {many}, against small", "of_small", "x") for name in RANKS]
    rows.append(Row("many_top10", "many", f"top10, {many}: another season each time, so no answer is cached"))
    after = f"{board}, all moved since the rebuild, against small in the same state"
    rows += [Row(f"board_moved_{name}", "board", f"{name}, {after}", "of_small", "x") for name in (*RANKS, "post")]
    rows += [
        Row("board_post", "board", f"POST for random players, {board}, against small", "of_small", "x"),
        Row("board_after_checkpoint", "board", "the same in the first seconds after a checkpoint", "of_small", "x"),
        Row("many_post", "many", f"POST for random players and seasons, {many}, against small", "of_small", "x"),
        Row("many_after_checkpoint", "many", "the same in the first seconds after a checkpoint", "of_small", "x"),
        Row("many_hot_season", "many", f"POST of new players in one of {s.seasons:,} seasons", "of_small", "x"),
        Row("many_hot_player", "many", f"POST for one player of {s.seasons:,} seasons", "of_small", "x"),
    ]
    for prefix in ("board", "many"):
        rows += [
            Row(f"{prefix}_plans", prefix, "hot statements whose plans were checked", "statements", ""),
            Row(f"{prefix}_equal", prefix, "players compared in both servers at the end", "players", ""),
        ]
    return rows


def measure_all(options: RunOptions, sizes: Sizes, families: Sequence[str]) -> Results:
    """Load the systems of `families`, then measure reads, moved players, submissions, plans and consistency."""
    with ExitStack() as stack:
        small = LoadedSystem(options, stack.enter_context(options.stack()), 1, sizes.small)
        small.load()
        systems: dict[str, LoadedSystem] = {}
        for prefix, (seasons, players) in {"board": (1, sizes.players), "many": (sizes.seasons, sizes.each)}.items():
            if prefix in families:
                systems[prefix] = LoadedSystem(options, stack.enter_context(options.stack()), seasons, players)
                systems[prefix].load()
                yield from yield_loading(prefix, systems[prefix])
        for turn in range(sizes.rounds):
            yield from yield_reads(turn, small, systems)
        if "board" in systems:
            yield from yield_moved(sizes.rounds, small, systems["board"])
        for turn in range(sizes.rounds):
            yield from yield_posts(turn, small, systems)
        for prefix, system in systems.items():
            yield f"{prefix}_plans", check_plans(system)
            yield f"{prefix}_equal", compare_servers(system)


def yield_loading(prefix: str, system: LoadedSystem) -> Results:
    """The rows of loading: time, disk, rebuild and memory."""
    faults = tuple(system.faults)
    checks = () if faults else ("PostgreSQL and Redis are consistent, every player and the whole order",)
    seconds = system.loaded.copy_s
    figures: list[dict[str, float]] = [
        {"per_s": system.players / seconds, "seconds": seconds, "vacuum_s": system.loaded.vacuum_s},
        {"bytes": system.loaded.bytes / system.players},
        {"per_s": system.players / system.rebuild_s, "seconds": system.rebuild_s},
        {"bytes": system.redis_bytes / system.players, "total_bytes": system.redis_bytes},
    ]
    for name, found in zip(LOADED, figures, strict=True):
        yield f"{prefix}_{name}", Measure(found, checks, faults)


def yield_reads(turn: int, small: LoadedSystem, systems: dict[str, LoadedSystem]) -> Results:
    """One round of reads. `turn` is the number of the round, from 0."""
    found = {}
    for prefix, system in alternate(turn, small, systems):
        with system.running() as client:
            for name in (*RANKS, "top10") if prefix == "many" else READS:
                found[prefix, name] = system.measure_read(name, client)
    for prefix in systems:
        for name in RANKS if prefix == "many" else READS:
            yield f"{prefix}_{name}", compare_with_small(found[prefix, name], found["small", name])
    if "many" in systems:
        yield "many_top10", found["many", "top10"]


def yield_moved(rounds: int, small: LoadedSystem, board: LoadedSystem) -> Results:
    """All rounds of two boards whose players have all moved; both are rebuilt afterwards."""
    systems = {"small": small, "board": board}
    for system in systems.values():
        system.move_players()
    for turn in range(rounds):
        found = {}
        for prefix, system in alternate(turn, small, {"board": board}):
            with system.running() as client:
                for name in RANKS:
                    found[prefix, name] = system.measure_read(name, client)
        for name in RANKS:
            yield f"board_moved_{name}", compare_with_small(found["board", name], found["small", name])
    for turn in range(rounds):
        posted = {
            prefix: system.measure_posts(POSTS[:1]) for prefix, system in alternate(turn, small, {"board": board})
        }
        yield "board_moved_post", compare_with_small(posted["board"]["post"], posted["small"]["post"])
    for system in systems.values():
        system.rebuild()


def yield_posts(turn: int, small: LoadedSystem, systems: dict[str, LoadedSystem]) -> Results:
    """One round of submissions. `turn` is the number of the round, from 0."""
    found = {
        prefix: system.measure_posts(POSTS if prefix == "many" else POSTS[:2])
        for prefix, system in alternate(turn, small, systems)
    }
    for prefix in systems:
        for name, measure in found[prefix].items():
            yield f"{prefix}_{name}", compare_with_small(measure, found["small"].get(name, found["small"]["post"]))


def alternate(turn: int, small: LoadedSystem, systems: dict[str, LoadedSystem]) -> Iterator[tuple[str, LoadedSystem]]:
    """All systems by name, small first in even rounds and last in odd rounds."""
    order = list({"small": small, **systems}.items())
    return iter(order if turn % 2 == 0 else order[::-1])


def compare_with_small(big: Measure, small: Measure) -> Measure:
    """The figures of `big` with their ratio to the small board. Faults of both count."""
    rate = small.figures["per_s"]
    figures = big.figures | {
        "of_small": big.figures["per_s"] / rate if rate else 0.0,
        "small_per_s": rate,
        "small_p99_ms": small.figures["p99_ms"],
    }
    faults = (*big.faults, *(f"small board: {fault}" for fault in small.faults))
    return Measure(figures, () if faults else big.checks, faults)


def check_plans(system: LoadedSystem) -> Measure:
    """The row of plans: no hot statement may scan a table sequentially at this size."""
    scanned = sequential_scans.find_planned_scans(system.stack.settings.database_url)
    faults = tuple(f"{found.statement} scans {found.table} sequentially" for found in scanned)
    count = float(len(sequential_scans.SUBMIT_STATEMENTS) + len(sequential_scans.RELAY_STATEMENTS))
    return Measure({"statements": count}, () if faults else ("no plan scans a table that grows",), faults)


def compare_servers(system: LoadedSystem) -> Measure:
    """The row of consistency: every player and the whole order, after all loads."""
    with system.stack.relays():
        faults = tuple(system.compare())
    checks = ("PostgreSQL and Redis are consistent, every player and the whole order",)
    return Measure(
        {"players": float(system.stack.value("SELECT count(*) FROM score"))}, () if faults else checks, faults
    )


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench scale",
        description="Compare big systems with a small one on this machine, and check their answers.",
        epilog=EPILOG,
    )
    add = made.add_argument
    add("--only", choices=("board", "many"), help="one big season, or many seasons (both)")
    add("--topology", choices=("cluster",), help="compare clusters of 1, 2 and 3 masters with one Redis instead")
    add("--players", type=positive, default=10_000_000, metavar="N", help="players of the one big season (%(default)s)")
    add("--seasons", type=positive, default=100_000, metavar="N", help="number of seasons (%(default)s)")
    add("--each", type=positive, default=10, metavar="N", help="players of each season (%(default)s)")
    add("--small", type=positive, default=10_000, metavar="N", help="players of the small board (%(default)s)")
    add("--rounds", type=positive, default=3, metavar="N", help="times each ratio is measured (%(default)s)")
    add("--seconds", type=positive, default=5, metavar="S", help="length of each load (%(default)s)")
    add("--connections", type=positive, default=64, metavar="N", help="of wrk (%(default)s)")
    add("--json", metavar="FILE", type=Path, help="write the report there, too ('-': to standard output, no table)")
    add("--html", metavar="DIR", type=Path, help="write the report as a page with plots, and the plots as SVG")
    add("--servers", choices=("system", "wheel"), default="system", help="PostgreSQL and Redis to start (%(default)s)")
    add("--seed", type=positive, default=None, metavar="N", help="of the order of players (drawn, and reported)")
    add("--data-dir", type=Path, default=Path("/var/tmp"), metavar="DIR", help="where the servers write (%(default)s)")
    return made


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
    return run_tool("bench scale", lambda: run(args, shlex.join(["python", "-m", "bench", "scale", *argv])))


def run(args: argparse.Namespace, command: str) -> int:
    """Measure and publish. Raises `UsageError`."""
    require(find_programs({"post"}))
    if args.topology is not None:
        return run_topologies(args, command)
    families = [args.only] if args.only else ["board", "many"]
    sizes = Sizes(args.players, args.seasons, args.each, args.small, args.rounds)
    options = make_system_options(args)
    shown: dict[str, str | int] = {
        **msgspec.structs.asdict(sizes), "seconds": options.seconds, "connections": options.connections,
        "servers": options.servers, "seed": options.seed, "workers": options.settings.workers,
        "relays": options.settings.relays,
    }  # fmt: skip
    wanted = [row for row in list_rows(sizes) if row.family in families]
    total = sum(sizes.rounds if row.main == "of_small" or row.name == "many_top10" else 1 for row in wanted)
    under_way = Run(options, wanted, lambda o: measure_all(o, sizes, families), total, shown, Console(stderr=True))
    return measure_and_publish(under_way, args.json, args.html, command)


def run_topologies(args: argparse.Namespace, command: str) -> int:
    """Measure and publish the processor time of a request on one Redis, and on clusters. Raises `UsageError`."""
    options = make_system_options(args)
    wanted = topology.list_rows(MASTERS, args.each)
    shown: dict[str, str | int] = {
        "seasons": topology.SEASONS, "each": args.each, "rounds": args.rounds, "seconds": options.seconds,
        "connections": options.connections, "servers": options.servers, "seed": options.seed,
        "workers": options.settings.workers, "relays": options.settings.relays,
    }  # fmt: skip
    under_way = Run(
        options,
        wanted,
        lambda o: topology.measure(o, MASTERS, args.each, args.rounds),
        len(wanted) * args.rounds,
        shown,
        Console(stderr=True),
    )
    return measure_and_publish(under_way, args.json, args.html, command)
