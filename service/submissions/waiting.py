"""The preference `wait` of a submission: its answer comes when the board shows it (RFC 7240)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from board.errors import BoardRebuilding, BoardUnavailable
from service.contract.preferences import parse_wait

WAIT_MOST_S: Final = 5
"""Seconds that a submission waits for its board at most. A longer wish is cut to it."""
WAITING_MOST: Final = 100
"""Submissions of a batch that waits at most. Each of them is a rank read or three."""


Headers = tuple[tuple[str, str], ...]


class Boards(Protocol):
    """The ranks that readers see."""

    async def find_rank(self, season: str, user: str) -> int | None:
        """The player's rank now, from 1; None for a player who is not on the board.

        Raises `BoardUnavailable` and `BoardRebuilding`.
        """

    async def wait_for_rank(self, season: str, user: str, version: int, deadline: float) -> int | None:
        """The rank as soon as the board shows this version or a later one.

        None at the deadline (the loop's time), and when the board cannot be read.
        """


class Wait:
    """The wait of one request: `previous` are the ranks of its players when it came."""

    def __init__(self, boards: Boards, season: str, seconds: int, deadline: float) -> None:
        self._boards: Final = boards
        self._season: Final = season
        self._deadline: Final = deadline
        self.previous: dict[str, int | None] = {}
        self.headers: Final[Headers] = (("preference-applied", f"wait={seconds}"),)

    async def read(self, users: Iterable[str]) -> None:
        """Read the ranks before the submissions. Raises `BoardUnavailable` and `BoardRebuilding`."""
        players = list(dict.fromkeys(users))
        ranks = await asyncio.gather(*(self._boards.find_rank(self._season, player) for player in players))
        self.previous = dict(zip(players, ranks, strict=True))

    async def find_rank(self, user: str, version: int) -> int | None:
        """The rank of a player as soon as the board shows this version; None when the time is up."""
        return await self._boards.wait_for_rank(self._season, user, version, self._deadline)


async def begin_wait(boards: Boards, season: str, users: list[str], prefer: str | None) -> Wait | None:
    """Begin the wait that a request prefers, before its submissions are queued.

    None if it prefers none, if it has too many submissions, and if the board cannot be read.
    """
    seconds = min(parse_wait(prefer), WAIT_MOST_S)
    if not seconds or len(users) > WAITING_MOST:
        return None
    wait = Wait(boards, season, seconds, asyncio.get_running_loop().time() + seconds)
    try:
        await wait.read(users)
    except (BoardRebuilding, BoardUnavailable):
        return None
    return wait
