"""Waiting for a board to change: one look at each board that is waited for, however many wait for it."""

from __future__ import annotations

import asyncio
from typing import Final

from board.errors import BoardRebuilding, BoardUnavailable
from board.redis.scripts import script
from service.boards.calls import BoardCalls, read_state

COUNT: Final = script("count")
PAUSE_S: Final = 0.005
"""The least pause between two looks at a board."""
LOOKS_PER_S: Final = 10_000
"""The most looks of a worker. The pause grows with the number of boards."""

Waiter = tuple[str | None, asyncio.Future[str]]
"""The state that has to pass (None: none), and the future that gets the state after it."""


class BoardWatch:
    """The boards that requests of one worker wait for. Redis is asked only while a request waits."""

    def __init__(self, calls: BoardCalls) -> None:
        self._calls: Final = calls
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: dict[str, list[Waiter]] = {}
        self._task: asyncio.Task[None] | None = None

    def ask_state(self, season: str, passed: str | None = None) -> asyncio.Future[str]:
        """The state of a board (`BoardState.as_of`), as soon as it is another than `passed`.

        It has no deadline: whoever waits cancels the future.
        """
        future: asyncio.Future[str] = self._loop.create_future()
        self._waiting.setdefault(season, []).append((passed, future))
        if self._task is None:
            self._task = self._loop.create_task(self._look())
            self._task.add_done_callback(self._end)
        return future

    def _end(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.result()

    async def _look(self) -> None:
        """Look at the boards until nobody waits."""
        while True:
            for season in [*self._waiting]:
                if not (left := [waiter for waiter in self._waiting[season] if not waiter[1].done()]):
                    del self._waiting[season]
                else:
                    self._waiting[season] = left
            if not self._waiting:
                return
            await asyncio.gather(*map(self._look_at, [*self._waiting]))
            await asyncio.sleep(max(PAUSE_S, len(self._waiting) / LOOKS_PER_S))

    async def _look_at(self, season: str) -> None:
        """Tell the waiters of a board its state. A board that cannot be read has none now."""
        try:
            reply = await self._calls.call(COUNT, season)
            with self._calls.reading(season):
                state = read_state(reply).as_of
        except (BoardRebuilding, BoardUnavailable):
            return
        for passed, future in self._waiting[season]:
            if state != passed and not future.done():
                future.set_result(state)
