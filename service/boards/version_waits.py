"""Reads that wait until the board shows a version of the player's row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from service.boards.board_watch import BoardWatch
from service.boards.rank_reads import PlayerNotFound, SeasonNotFound, Window
from service.contract.answers import Answer
from service.contract.problems import Rejected, add_problem

NOT_YET_VISIBLE: Final = add_problem(
    "not-yet-visible",
    409,
    "The board does not show this version of the player yet.",
    "The board has not shown `minVersion` within the time of a read. Ask again.",
    is_passing=True,
)

Read = Callable[[], asyncio.Future[Answer | None]]
"""Begins a read. It gives the answer, or None if the board shows an earlier version."""


def version_of(window: Window) -> int:
    """The version of the player whose window this is."""
    rank, second, third, _ = window
    member: bytes = third[2 * (rank - second)] if isinstance(third, list) else second
    return int.from_bytes(member[2:10], "big")


class VersionWaits:
    """The reads of one worker that wait for a version, each for `deadline_s` seconds at most."""

    def __init__(self, watch: BoardWatch, deadline_s: float) -> None:
        self._watch: Final = watch
        self._deadline_s: Final = deadline_s
        self._loop: Final = asyncio.get_running_loop()

    async def wait(self, season: str, read: Read) -> Answer:
        """The first answer of a read that is repeated whenever the board has changed.

        A player who is not on the board may come. Raises `Rejected` at the deadline, and what the read raises.
        """
        deadline = self._loop.time() + self._deadline_s
        if (answer := await self._try(read)) is not None:
            return answer
        try:
            async with asyncio.timeout_at(deadline):
                # A state from before each read: whatever changes after the read is another one.
                state = await self._watch.ask_state(season)
                while (answer := await self._try(read)) is None:
                    state = await self._watch.ask_state(season, passed=state)
        except TimeoutError:
            raise Rejected(NOT_YET_VISIBLE.answer) from None
        return answer

    async def _try(self, read: Read) -> Answer | None:
        try:
            return await read()
        except (PlayerNotFound, SeasonNotFound):
            return None
