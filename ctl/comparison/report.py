"""PostgreSQL compared with Redis over all partitions, or for one season."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Final

import msgspec

from board.config.settings import Settings
from board.partitions import PARTITIONS, partition_of
from board.redis.keyspace import Keyspace
from ctl import output
from ctl.comparison.difference import Difference
from ctl.comparison.partition import PartitionComparison
from ctl.comparison.sides import Sides

SHOWN_MOST: Final = 20
POLL_S: Final = 0.02


class Report(msgspec.Struct, frozen=True):
    """Numbers of compared and of differing items, and the first differences.

    `unsettled` players had changes on their way during the whole comparison; `equal` needs none of them.
    """

    equal: bool
    partitions: int
    seasons: int
    players: int
    unsettled: int
    differences: list[Difference]
    differences_found: int


def compare(s: Settings, *, season: str | None = None, wait_s: float = 10.0, quiet: bool = True) -> Report:
    """Compare all seasons, or one. `quiet` shows no progress bar.

    Relays first get up to `wait_s` seconds to carry the pending hints. Each partition is compared under its claim, so
    that no relay changes Redis meanwhile. Players with hints in that snapshot are compared singly afterwards, as long
    as `wait_s` lasts. Raises `ServerUnreachable` and `BoardUnavailable`.
    """
    partitions = list(range(PARTITIONS)) if season is None else [partition_of(season)]
    differences: list[Difference] = []
    found = seasons = players = unsettled = 0
    deadline = time.monotonic() + wait_s
    progress = output.make_partition_progress("comparing", quiet=quiet)
    with closing(Sides(s, Keyspace(s.redis_prefix))) as sides, progress as bar:
        task = bar.add_task("", total=len(partitions), players=0)
        for partition in partitions:
            while sides.has_hints(partition) and time.monotonic() < deadline:
                time.sleep(POLL_S)
            comparison = PartitionComparison(sides, partition)
            comparison.run(season)
            while comparison.unsettled and time.monotonic() < deadline:
                time.sleep(POLL_S)
                comparison.run_unsettled()
            found += comparison.differences.found
            differences += comparison.differences.first[: SHOWN_MOST - len(differences)]
            seasons += comparison.seasons
            players += comparison.players
            unsettled += len(comparison.unsettled)
            bar.update(task, advance=1, players=players)
    return Report(not found and not unsettled, len(partitions), seasons, players, unsettled, differences, found)
