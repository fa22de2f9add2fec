"""The rows of topologies: the processor time of a rank and of a POST on one Redis, and on clusters of 1, 2, 3 masters.

All systems hold the same seasons, which lie on all masters, and run in turn. On one machine the masters share
its cores: the rows say what routing costs, and how the work divides, not how fast three machines are.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from bench.rows.budget import measure_post, measure_read
from bench.rows.catalog import Row
from bench.rows.figures import Measure, Results
from bench.rows.loaded_system import LoadedSystem
from bench.system.node_stack import NodeStack
from bench.system.run_options import RunOptions
from board.redis.masters import read_masters
from board.redis.options import parse_redis_url
from board.redis.topology import Topology

SEASONS: Final = 256
READS: Final = ("rank", "around")
POSTS: Final = ("post",)


def name_of(masters: int) -> str:
    """The name of a topology in the rows."""
    return f"cluster{masters}" if masters else "single"


def list_rows(masters: Sequence[int], players: int) -> list[Row]:
    """The rows for these numbers of masters, in the order of measurement; 0 is a single Redis."""
    what = f"{SEASONS} seasons of {players:,} players"
    return [
        Row(
            f"{name_of(number)}_{load}",
            "topology",
            f"processor time of {load}, {what}, {f'a cluster of {number} masters' if number else 'one Redis'}",
            "us",
            "us",
        )
        for number in masters
        for load in (*READS, *POSTS)
    ]


def measure(options: RunOptions, masters: Sequence[int], players: int, rounds: int) -> Results:
    """Load a system for each number of masters, and measure them in turn, in the other order every second round."""
    with ExitStack() as stack:
        systems: dict[int, LoadedSystem] = {}
        for number in masters:
            servers = NodeStack(options.settings, parent=options.parent, prefer=options.servers, masters=number)
            systems[number] = LoadedSystem(options, stack.enter_context(servers), SEASONS, players)
            systems[number].load()
        # All reads come first: submissions move the players whose ranks are checked.
        for loads in (READS, POSTS):
            for turn in range(rounds):
                found = {}
                for number in masters if turn % 2 == 0 else masters[::-1]:
                    found[number] = measure_once(systems[number], loads)
                for number in masters:
                    for load in loads:
                        yield f"{name_of(number)}_{load}", compare(found[number][load], found[masters[0]][load])


def measure_once(system: LoadedSystem, loads: Sequence[str]) -> dict[str, Measure]:
    """These loads on one system, with the largest number of partitions that a master has."""
    with system.running() as client:
        found = {
            load: measure_post(system, 0, SEASONS) if load in POSTS else measure_read(system, load, client)
            for load in loads
        }
    most = float(max(count_shares(system)))
    return {
        load: Measure(one.figures | {"partitions_most": most}, one.checks, one.faults) for load, one in found.items()
    }


def count_shares(system: LoadedSystem) -> list[int]:
    """The number of partitions of each master."""
    settings = system.stack.settings
    status = read_masters(Topology(parse_redis_url(settings.redis_url)), settings.redis_prefix)
    return [master.partitions for master in status.masters]


def compare(measure: Measure, single: Measure) -> Measure:
    """The figures with their ratio to those of one Redis in the same round: below 1 is cheaper."""
    ratios = {
        f"{name}_of_single": measure.figures[name] / single.figures[name]
        for name in ("us", "worker_us", "redis_us", "relay_us")
        if single.figures.get(name)
    }
    return Measure(measure.figures | ratios, measure.checks, measure.faults)
