"""Boards in Redis rebuilt from PostgreSQL by the command, with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

import msgspec
import psycopg

from board.config.settings import Settings
from board.errors import ServerUnreachable, UsageError
from board.partitions import PARTITIONS, partition_of
from board.redis.keyspace import Keyspace
from ctl import output
from relay.batch import Refused
from relay.rebuild import Rebuilt, rebuild
from relay.session import RelaySession

GIVE_UP_S: Final = 30.0
RETRY_S: Final = 0.01


class RebuildResult(msgspec.Struct, frozen=True):
    """Numbers of partitions, seasons and players that were loaded; `seconds` is the time it took."""

    partitions: int
    seasons: int
    players: int
    seconds: float

    def describe(self) -> str:
        """One line for people."""
        return f"rebuilt {self.seasons:,} seasons, {self.players:,} players in {self.seconds:.2f} s"


def rebuild_boards(s: Settings, season: str | None = None, *, quiet: bool) -> RebuildResult:
    """Rebuild one season, or every partition; `quiet` shows no progress bar.

    Raises `UsageError` for a season that does not exist, `ServerUnreachable` and `BoardUnavailable` for a server that
    does not answer, and `FenceRefused` if Redis refuses a whole partition.
    """
    partitions = list(range(PARTITIONS)) if season is None else [partition_of(season)]
    timeout_s = s.redis_timeout_ms / 1000
    session = RelaySession(
        s.database_url, s.redis_url, Keyspace(s.redis_prefix), limit=s.relay_batch, redis_timeout_s=timeout_s
    )
    started = time.monotonic()
    seasons = players = 0
    with closing(session), output.make_partition_progress("rebuilding", quiet=quiet) as bar:
        task = bar.add_task("", total=len(partitions), players=0)
        for partition in partitions:

            def progress(loaded: int, before: int = players) -> None:
                bar.update(task, players=before + loaded)

            rebuilt = rebuild_partition(session, partition, progress, season)
            seasons += rebuilt.seasons
            players += rebuilt.players
            bar.update(task, advance=1, players=players)
    if season is not None and not seasons:
        raise UsageError(f"there is no season {season!r}")
    return RebuildResult(len(partitions), seasons, players, round(time.monotonic() - started, 3))


def rebuild_partition(
    session: RelaySession, partition: int, progress: Callable[[int], None], season: str | None = None
) -> Rebuilt:
    """Rebuild a partition, or one season of it; waits up to `GIVE_UP_S` for a relay that holds the partition.

    A season alone can be swapped in only where the rest of its partition is sound; else the whole partition is
    loaded. `progress` gets the number of players loaded so far. Raises `ServerUnreachable` after the wait.
    """
    deadline = time.monotonic() + GIVE_UP_S
    while True:
        rebuilt = None
        try:
            rebuilt = rebuild(session, partition, progress, only=season)
        except psycopg.errors.SerializationFailure:
            pass  # A relay committed to the partition after our snapshot; the next attempt has a younger one.
        except Refused:
            if season is None:
                raise
            season = None
        if rebuilt is not None:
            return rebuilt
        if time.monotonic() > deadline:
            raise ServerUnreachable(f"partition {partition} has been held by a relay for {GIVE_UP_S:.0f} s")
        time.sleep(RETRY_S)
