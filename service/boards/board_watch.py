"""Waiting for boards to change: one look at each of them, however many requests wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from board.errors import BoardRebuilding, BoardUnavailable, LeaderboardError
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from board.segments import split_board
from service.boards.calls import BoardCalls, read_state
from service.contract.problems import Rejected

T = TypeVar("T")

COUNT: Final = script("count")
PAUSE_S: Final = 0.002
"""The pauses between two looks for a version, which is due in milliseconds."""
PAUSE_MOST_S: Final = 0.016

Waiter = tuple[str | None, asyncio.Future[str]]
"""The state that has to pass (None: none), and the future that gets the state after it."""


class BoardWatch:
    """The boards that requests of one worker wait for. Redis is asked only while a request waits.

    A look reads one number of each partition: the fence of the last batch that a relay has applied. Where it has moved,
    the marks of the partition's boards tell which of them the batches have touched, and only their states are read.

    The pause between two looks doubles with each one that finds nothing new, from `pause_s` to `pause_most_s`.
    """

    def __init__(
        self,
        calls: BoardCalls,
        redis: AsyncRedis,
        keys: Keyspace,
        pause_s: float = PAUSE_S,
        pause_most_s: float = PAUSE_MOST_S,
    ) -> None:
        self._pause_s: Final = pause_s
        self._pause_most_s: Final = pause_most_s
        self._calls: Final = calls
        self._redis: Final = redis
        self._keys: Final = keys
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: dict[str, list[Waiter]] = {}
        self._fences: dict[str, Any] = {}
        """The fence under which the state of a board was read last."""
        self._marks: dict[str, bytes | None] = {}
        """The mark of a board then, if it alone names the state."""
        self._task: asyncio.Task[None] | None = None
        self._pause = pause_s

    def ask_state(self, season: str, passed: str | None = None) -> asyncio.Future[str]:
        """The state of a board (`BoardState.as_of`), as soon as it is another than `passed`.

        It has no deadline: whoever waits cancels the future. It raises `BoardUnavailable`.
        """
        future: asyncio.Future[str] = self._loop.create_future()
        self._waiting.setdefault(season, []).append((passed, future))
        self._fences.pop(season, None)
        self._marks.pop(season, None)
        self._pause = self._pause_s
        if self._task is None:
            self._task = self._loop.create_task(self._look_out())
            self._task.add_done_callback(self._end)
        return future

    def _end(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.result()

    async def _look_out(self) -> None:
        """Look at the boards until nobody waits."""
        while True:
            left = {season: [one for one in ones if not one[1].done()] for season, ones in self._waiting.items()}
            self._waiting = {season: ones for season, ones in left.items() if ones}
            if not self._waiting:
                self._fences.clear()
                self._marks.clear()
                return
            try:
                await self._look()
            except BoardUnavailable as error:
                for ones in self._waiting.values():
                    fail(ones, BoardUnavailable, str(error))
            else:
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, self._pause_most_s)

    async def _look(self) -> None:
        """Read the fences, and the states of boards that may have changed. Raises `BoardUnavailable`."""
        boards: dict[int, list[str]] = {}
        for season in self._waiting:
            boards.setdefault(partition_of(split_board(season)[0]), []).append(season)
        commands = [pack((b"HGET", self._keys.watermark[partition], b"fence")) for partition in boards]
        fences = await asyncio.gather(*map(self._redis.ask, commands))
        looks = []
        for (partition, seasons), fence in zip(boards.items(), fences, strict=True):
            moved = [season for season in seasons if self._fences.get(season, b"") != fence]
            # States are read after the fence. What is applied between the two moves the fence of the next look.
            self._fences.update(dict.fromkeys(moved, fence))
            if moved:
                looks.append(self._look_into(partition, moved))
        await asyncio.gather(*looks)

    async def _look_into(self, partition: int, moved: list[str]) -> None:
        """Look at those boards of a partition that the batches since the last look may have touched."""
        if len(moved) > 1:
            fields = (b"n:" + split_board(season)[0].encode() for season in moved)
            command = pack((b"HMGET", self._keys.watermark[partition], b"fence", b"counted", *fields))
            fence, counted, *marks = await self._redis.ask(command)
            touched = []
            for season, mark in zip(moved, marks, strict=True):
                # As in board.lua: a mark without a number of players, and any after a batch without marks, names none.
                named = mark if mark and counted == fence and not mark.startswith(b":") else None
                if named is None or named != self._marks.get(season):
                    touched.append(season)
                self._marks[season] = named
            moved = touched
        await asyncio.gather(*map(self._look_at, moved))

    async def _look_at(self, season: str) -> None:
        """Tell the waiters of a board its state. A board that is being rebuilt has none; it comes with a new fence."""
        try:
            reply = await self._calls.call(COUNT, season)
            with self._calls.reading(season):
                state = read_state(reply).as_of
        except BoardRebuilding:
            self._marks.pop(season, None)
            return
        except Rejected as rejected:
            # The season has lost its segments, say: that is about this board alone.
            fail(self._waiting.get(season, ()), Rejected, rejected.answer)
            return
        for passed, future in self._waiting.get(season, ()):
            if state != passed and not future.done():
                future.set_result(state)
                self._pause = self._pause_s


def fail(waiters: Iterable[Waiter], kind: Callable[[T], LeaderboardError], about: T) -> None:
    """End these waits with an error of this kind, another one for each: a raised exception holds its traceback."""
    for _, future in waiters:
        if not future.done():
            future.set_exception(kind(about))
