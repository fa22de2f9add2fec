"""`leaderboard verify`: PostgreSQL against Redis, every player, every score, the whole order."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from rich.table import Table

from board.config.settings import Settings
from board.redis.keyspace import PARTITIONS, Keys, partition_of
from ctl import output
from ctl.comparison.partition import Comparison, Difference, Side

SHOWN_MOST: Final = 20
POLL_S: Final = 0.02


class Report(msgspec.Struct, frozen=True):
    """What was compared and what differs. `unsettled` players had changes on their way all the time."""

    equal: bool
    partitions: int
    seasons: int
    players: int
    unsettled: int
    differences: list[Difference]
    differences_found: int


def command(s: Settings, *, season: str | None, wait_s: float, as_json: bool) -> int:
    """Compare, print, and return 0 only when both sides are equal."""
    report = compare(s, season=season, wait_s=wait_s, quiet=as_json)
    if as_json:
        output.json(report)
    else:
        show(report)
    return 0 if report.equal else 1


def compare(s: Settings, *, season: str | None = None, wait_s: float = 10.0, quiet: bool = True) -> Report:
    """Compare all seasons, or one.

    First gives relays up to `wait_s` seconds to carry what is pending. Then holds each partition's claim while it is
    compared, so that Redis stands still; players with hints in that snapshot are looked at again, singly, afterwards.
    """
    wanted = list(range(PARTITIONS)) if season is None else [partition_of(season)]
    side = Side(s, Keys(s.redis_prefix))
    differences: list[Difference] = []
    found = seasons = players = unsettled = 0
    bar = output.partition_progress("comparing", quiet=quiet)
    until = time.monotonic() + wait_s
    try:
        with bar:
            task = bar.add_task("", total=len(wanted), players=0)
            for partition in wanted:
                settle(side, partition, until)
                comparison = Comparison(side, partition)
                comparison.run(season)
                while comparison.unsettled and time.monotonic() < until:
                    time.sleep(POLL_S)
                    comparison.look_again()
                found += comparison.found
                differences += comparison.differences[: SHOWN_MOST - len(differences)]
                seasons += comparison.seasons
                players += comparison.players
                unsettled += len(comparison.unsettled)
                bar.update(task, advance=1, players=players)
    finally:
        side.close()
    return Report(not found and not unsettled, len(wanted), seasons, players, unsettled, differences, found)


def settle(side: Side, partition: int, until: float) -> None:
    """Wait until the partition has no hints, or time is up."""
    while side.pending(partition) and time.monotonic() < until:
        time.sleep(POLL_S)


def show(report: Report) -> None:
    """For people."""
    if report.differences:
        table = Table(header_style="bold")
        for name in ("season", "player", "what", "PostgreSQL", "Redis"):
            table.add_column(name)
        for d in report.differences:
            table.add_row(d.season, d.user, d.what, text(d.postgres), text(d.redis))
        output.stdout.print(table)
    verdict = "equal" if report.equal else "NOT equal"
    output.stdout.print(
        f"{verdict}: {report.players:,} players in {report.seasons:,} seasons compared, "
        f"{report.differences_found:,} differences, {report.unsettled:,} players with changes still on their way",
        markup=False,
    )


def text(value: Any) -> str:
    """A cell."""
    return "-" if value is None else str(value)
