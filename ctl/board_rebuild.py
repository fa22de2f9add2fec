"""`leaderboard rebuild`: load one season or all partitions anew, with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import psycopg
from rich.progress import Progress, TaskID

from board.config.settings import Settings
from board.errors import ServerUnreachable, UsageError
from board.redis.keyspace import PARTITIONS, Keys, partition_of
from ctl import output
from relay.carrier import Carrier, Refused
from relay.rebuild import Rebuilt, rebuild

GIVE_UP_S: Final = 30.0
RETRY_S: Final = 0.01


def command(s: Settings, *, season: str | None, as_json: bool) -> int:
    """Rebuild one season, or everything. Raises `UsageError` for a season that does not exist."""
    wanted = list(range(PARTITIONS)) if season is None else [partition_of(season)]
    timeout_s = s.redis_timeout_ms / 1000
    carrier = Carrier(s.database_url, s.redis_url, Keys(s.redis_prefix), limit=s.relay_batch, redis_timeout_s=timeout_s)
    started = time.monotonic()
    seasons = players = 0
    bar = output.partition_progress("rebuilding", quiet=as_json)
    try:
        with bar:
            task = bar.add_task("", total=len(wanted), players=0)
            for partition in wanted:
                before = players
                done = insist(carrier, partition, Count(bar, task, before), season)
                seasons += done.seasons
                players += done.players
                bar.update(task, advance=1, players=players)
    finally:
        carrier.close()
    if season is not None and not seasons:
        raise UsageError(f"there is no season {season!r}")
    seconds = time.monotonic() - started
    if as_json:
        output.json({"partitions": len(wanted), "seasons": seasons, "players": players, "seconds": round(seconds, 3)})
    else:
        output.note(f"rebuilt {seasons:,} seasons, {players:,} players in {seconds:.2f} s")
    return 0


class Count:
    """Adds a partition's players to those of the partitions before it."""

    def __init__(self, bar: Progress, task: TaskID, before: int) -> None:
        self.bar: Final = bar
        self.task: Final = task
        self.before: Final = before

    def __call__(self, players: int) -> None:
        self.bar.update(self.task, players=self.before + players)


def insist(carrier: Carrier, partition: int, progress: Callable[[int], None], season: str | None = None) -> Rebuilt:
    """Rebuild a partition or one season of it, waiting for a relay that holds it to let go.

    A season alone can be put in place only where the rest of its partition is sound; else all of it is loaded.
    """
    until = time.monotonic() + GIVE_UP_S
    while True:
        try:
            done = rebuild(carrier, partition, progress, only=season)
        except psycopg.errors.SerializationFailure:
            done = None
        except Refused:
            if season is None:
                raise
            season, done = None, None
        if done is not None:
            return done
        if time.monotonic() > until:
            raise ServerUnreachable(f"partition {partition} has been held by a relay for {GIVE_UP_S:.0f} s")
        time.sleep(RETRY_S)
