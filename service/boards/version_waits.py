"""Reads that wait until the board shows a version of the player's row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from service.boards.board_watch import BoardWatch
from service.boards.calls import version_at
from service.boards.rank_reads import PlayerNotFound, SeasonNotFound, Window
from service.contract.problems import add_problem

NOT_YET_VISIBLE: Final = add_problem(
    "not-yet-visible",
    409,
    "The board does not show this version of the player yet.",
    "The board has not shown `minVersion` within the time of a read. Ask again.",
    is_passing=True,
)

T = TypeVar("T")
Read = Callable[[], asyncio.Future[T | None]]
"""Begins a read. It gives its result, or None if the board shows an earlier version."""


def version_of(window: Window) -> int:
    """The version of the player whose window this is."""
    rank, second, third, state = window
    member: bytes = third[2 * (rank - second)] if isinstance(third, list) else second
    return version_at(member, state)


class VersionWaits:
    """The reads of one worker that wait for a version."""

    def __init__(self, watch: BoardWatch) -> None:
        self._watch: Final = watch

    async def wait(self, season: str, read: Read[T], deadline: float) -> T | None:
        """The first result of a read that is repeated whenever the board has changed; None at the deadline.

        `deadline` is the loop's time. A player who is not on the board may come. Raises what the read raises.
        """
        if (result := await self._try(read)) is not None:
            return result
        try:
            async with asyncio.timeout_at(deadline):
                # A state from before each read: whatever changes after the read is another one.
                state = await self._watch.ask_state(season)
                while (result := await self._try(read)) is None:
                    state = await self._watch.ask_state(season, passed=state)
        except TimeoutError:
            return None
        return result

    async def _try(self, read: Read[T]) -> T | None:
        try:
            return await read()
        except (PlayerNotFound, SeasonNotFound):
            return None
