"""Reads of a top list that wait until anything on the board has changed (`since`, and `Prefer: wait=N`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from service.boards.board_watch import BoardWatch
from service.boards.calls import is_in_state
from service.contract.answers import Answer
from service.contract.leaving import Leaving
from service.contract.problems import Problem, add_problem

WAIT_MOST_S: Final = 25
"""Seconds that a read waits at most; below the half minute after which many proxies give up."""
WAITING_MOST: Final = 10_000
"""Reads of a worker that wait at once. Those beyond do not wait: a server may ignore a preference (RFC 7240, 2)."""
PAUSE_S: Final = 0.01
"""The pause between two looks at boards, while they change."""
PAUSE_MOST_S: Final = 0.1
"""The pause while none does: the price of an idle board is ten short commands a second for each worker."""

SINCE_OR_PERIOD: Final = add_problem(
    "since-or-period",
    400,
    "since excludes period and cursor.",
    "The query has `since`, which is about the first page of the current board, and one of the others.",
)


async def reject(problem: Problem) -> Answer:
    """The answer of a read that the query excludes."""
    return problem.answer


class LongPolls:
    """The reads of one worker that wait for a board to change, `most` at once. A worker that stops ends them."""

    def __init__(self, watch: BoardWatch, leaving: Leaving, most: int = WAITING_MOST) -> None:
        self.most: Final = most
        self._watch: Final = watch
        self._leaving: Final = leaving
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[str]] = set()
        leaving.add(self._end_all)

    @property
    def count(self) -> int:
        """The number of reads that wait."""
        return len(self._waiting)

    def _end_all(self) -> None:
        for future in self._waiting:
            future.cancel()

    async def poll(
        self, season: str, since: str, seconds: int, read: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """The answer of `read` as soon as it shows another state of the board than `since`; 304 after `seconds`.

        Raises what the read raises, and `BoardUnavailable`.
        """
        seconds = min(seconds, WAIT_MOST_S)
        headers: tuple[tuple[str, str], ...] = ()
        if seconds and self.count < self.most:
            headers = (("preference-applied", f"wait={seconds}"),)
        deadline = self._loop.time() + seconds
        answer = await read()
        while is_in_state(answer.etag, since):
            if not headers or not await self._wait_for_change(season, since, deadline):
                return msgspec.structs.replace(answer, status=304, body=b"", headers=headers)
            # A read that was under way may be from before the change; then the next look tells it again.
            answer = await read()
        return msgspec.structs.replace(answer, headers=headers)

    async def _wait_for_change(self, season: str, since: str, deadline: float) -> bool:
        """Wait until the board has another state than `since`; False at the deadline, and when the worker stops."""
        if self._leaving.began:
            return False
        future = self._watch.ask_state(season, passed=since)
        self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=deadline - self._loop.time())
        finally:
            self._waiting.discard(future)
            future.cancel()
        if future.cancelled():
            return False
        future.result()
        return True
