"""The ranks of submissions that wait until a board shows them."""

from __future__ import annotations

from functools import partial
from typing import Final

from board.errors import BoardRebuilding, BoardUnavailable
from service.boards.rank_reads import PlayerNotFound, RankReads, SeasonNotFound, Window
from service.boards.version_waits import VersionWaits, version_of


class AwaitedRanks:
    """The ranks that submissions of one worker wait for."""

    def __init__(self, reads: RankReads, waits: VersionWaits) -> None:
        self._reads: Final = reads
        self._waits: Final = waits

    async def find_rank(self, season: str, user: str) -> int | None:
        """The player's rank now, from 1; None for a player who is not on the board.

        Raises `BoardRebuilding` and `BoardUnavailable`.
        """
        try:
            return await self._reads.ask(season, user, 0, rank_of)
        except (PlayerNotFound, SeasonNotFound):
            return None

    async def wait_for_rank(self, season: str, user: str, version: int, deadline: float) -> int | None:
        """The player's rank as soon as the board shows this version or a later one.

        None at the deadline (the loop's time), and when the board cannot be read.
        """
        read = partial(self._reads.ask, season, user, 0, partial(rank_from, version))
        try:
            return await self._waits.wait(season, read, deadline)
        except (BoardRebuilding, BoardUnavailable):
            return None


def rank_of(window: Window) -> int:
    """The rank, from 1, of a rank read without neighbours."""
    return window[0] + 1


def rank_from(version: int, window: Window) -> int | None:
    """The rank, unless the board shows an earlier version of the player."""
    return rank_of(window) if version_of(window) >= version else None
