"""Waiting until a board shows a submission. The waiters of a worker look at the boards together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from board.errors import BoardRebuilding, BoardUnavailable
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from service.boards.rank_reads import PlayerNotFound, RankReads, SeasonNotFound, Window

log: Final = logging.getLogger(__name__)

LOOK_S: Final = 0.002
"""The pause between two looks at the fences. It doubles with each look that finds nothing."""
LOOK_MOST_S: Final = 0.016

Place = tuple[int, int]
"""A player's rank, from 1, and the version that the board shows."""


class _Waiter:
    """A submission that the board is to show. `fence` is the one under which the board was read last."""

    __slots__ = ("fence", "future", "season", "user", "version")

    def __init__(self, season: str, user: str, version: int, future: asyncio.Future[int | None]) -> None:
        self.season: Final = season
        self.user: Final = user
        self.version: Final = version
        self.future: Final = future
        self.fence: bytes | None = b""

    def end(self, rank: int | None) -> None:
        """Answer the waiter, unless it is gone."""
        if not self.future.done():
            self.future.set_result(rank)


class AwaitedRanks:
    """The ranks that submissions of one worker wait for.

    One task looks for all waiters. A look reads one number of each partition: the fence of the last batch that a relay
    has applied. Ranks are read once when a waiter comes, and again only after the fence has moved, as rank reads that
    share their calls. So a waiter costs Redis no more while nothing happens.

    `suspect` is called as by `RankReads`.
    """

    def __init__(self, redis: AsyncRedis, keys: Keyspace, suspect: Callable[[str, str], None]) -> None:
        self._redis: Final = redis
        self._keys: Final = keys
        self._reads: Final = RankReads(redis, keys, suspect)
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: dict[int, list[_Waiter]] = {}
        self._task: asyncio.Task[None] | None = None
        self._pause = LOOK_S

    async def find_rank(self, season: str, user: str) -> int | None:
        """The player's rank now, from 1; None for a player who is not on the board.

        Raises `BoardRebuilding` and `BoardUnavailable`.
        """
        try:
            rank, _ = await self._reads.ask(season, user, 0, show_place)
        except (PlayerNotFound, SeasonNotFound):
            return None
        return rank

    async def wait_for_rank(self, season: str, user: str, version: int, deadline: float) -> int | None:
        """The player's rank as soon as the board shows this version or a later one.

        None at the deadline (the loop's time), and when the board cannot be read.
        """
        waiter = _Waiter(season, user, version, self._loop.create_future())
        self._waiting.setdefault(partition_of(season), []).append(waiter)
        self._pause = LOOK_S
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._look_out())
            self._task.add_done_callback(self._ended)
        timer = self._loop.call_at(deadline, waiter.end, None)
        try:
            return await waiter.future
        finally:
            timer.cancel()

    async def _look_out(self) -> None:
        """Look until nobody waits any more."""
        while self._waiting:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LOOK_MOST_S)
            try:
                await self._look()
            except BoardUnavailable:
                self._end_all()
            left = {at: [one for one in waiters if not one.future.done()] for at, waiters in self._waiting.items()}
            self._waiting = {at: waiters for at, waiters in left.items() if waiters}

    async def _look(self) -> None:
        """Read the fences, and the ranks of waiters whose board may have changed. Raises `BoardUnavailable`."""
        partitions = list(self._waiting)
        commands = [pack((b"HGET", self._keys.watermark[partition], b"fence")) for partition in partitions]
        fences = await asyncio.gather(*map(self._redis.ask, commands))
        asked: list[_Waiter] = []
        for partition, fence in zip(partitions, fences, strict=True):
            for waiter in self._waiting[partition]:
                # The ranks are read after the fence. What is applied between the two moves the fence of the next look.
                if waiter.fence != fence and not waiter.future.done():
                    waiter.fence = fence
                    asked.append(waiter)
        reads = [self._reads.ask(waiter.season, waiter.user, 0, show_place) for waiter in asked]
        for waiter, read in zip(asked, reads, strict=True):
            try:
                rank, version = await read
            except (PlayerNotFound, SeasonNotFound, BoardRebuilding):
                # A rebuilt board comes with a new fence.
                continue
            except BoardUnavailable:
                waiter.end(None)
            else:
                if version >= waiter.version:
                    waiter.end(rank)
                    self._pause = LOOK_S

    def _end_all(self) -> None:
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.end(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A defect ends no submission: its answer is the ordinary one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("waiting for boards has failed", exc_info=error)
            self._end_all()
            self._waiting = {}


def show_place(window: Window) -> Place:
    """The rank and the version of a rank read without neighbours."""
    rank, member, _, _ = window
    return rank + 1, int.from_bytes(member[2:10], "big")
