"""Rank reads: the ranks of players, and their neighbours on the board.

All rank reads of one board in one turn of the event loop are one call of a script. A call costs
Redis several times as much as a rank in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from board.errors import BoardRebuilding, BoardUnavailable, LeaderboardError
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.replies import RedisRefused, concerns_server
from board.redis.scripts import script
from service.boards.calls import UNREADABLE, BoardState, name_keys, read_state
from service.boards.segments import find_refusal
from service.contract.problems import Rejected

RANK: Final = script("rank")
PLAYERS_MOST: Final = 16
ITEMS_MOST: Final = 512
"""The most players and entries of one call. Redis does nothing else meanwhile."""

Window = tuple[int, Any, Any, BoardState]
"""The player's rank, member and zscore; with neighbours the player's rank, the rank of the first entry, and the
entries (member, zscore, …). Ranks start at 0. Then the state of the board."""
T = TypeVar("T")
Show = Callable[[Window], T]
"""Makes the answer. Raises an error of `UNREADABLE` for an entry that no relay has written."""
Asked = list[tuple[bytes, asyncio.Future[Any], Show[Any]]]


class SeasonNotFound(LeaderboardError):
    """The season has no submission."""

    code = "season-not-found"


class PlayerNotFound(LeaderboardError):
    """The player is not on the board."""

    code = "player-not-found"


class RankReads:
    """The rank reads of one event loop.

    A call is sent at the end of the loop's next turn, or as soon as it has `PLAYERS_MOST` players or `ITEMS_MOST`
    entries. PERF: requests that the kernel already holds join it in that turn.

    A season may be the name of a segment's board. `suspect` is called with it, and the player or an empty text, where a
    board does not agree with itself.
    """

    def __init__(
        self, redis: AsyncRedis, keys: Keyspace, suspect: Callable[[str, str], None] = lambda season, user: None
    ) -> None:
        self._redis: Final = redis
        self._keys: Final = keys
        self._suspect: Final = suspect
        self._loop: Final = asyncio.get_running_loop()
        self._open: dict[tuple[str, int], Asked] = {}

    def ask(self, season: str, user: str, side: int, show: Show[T]) -> asyncio.Future[T]:
        """Ask for the player `user`, with `side` neighbours on each side. The future gets what `show` makes.

        It raises `SeasonNotFound`, `PlayerNotFound`, `BoardRebuilding`, `BoardUnavailable`.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._open:
            self._loop.call_soon(self._loop.call_soon, self._send_all)
        key = (season, side)
        asked = self._open.get(key)
        if asked is None:
            asked = self._open[key] = []
        asked.append((user.encode(), future, show))
        if len(asked) >= PLAYERS_MOST or len(asked) * (2 * side + 1) >= ITEMS_MOST:
            self._open[key] = []
            self._send(season, side, asked)
        return future

    def _send_all(self) -> None:
        taken, self._open = self._open, {}
        for (season, side), asked in taken.items():
            if asked:
                self._send(season, side, asked)
        self._redis.flush()

    def _send(self, season: str, side: int, asked: Asked) -> None:
        call = (*name_keys(self._keys, season), b"%d" % side, *(user for user, _, _ in asked))
        self._redis.call(RANK, call, partial(self._deliver, season, asked))

    def _deliver(self, season: str, asked: Asked, reply: Any) -> None:
        """Give each read its part of a reply, or its error."""
        if isinstance(reply, BoardUnavailable):
            if isinstance(reply, RedisRefused) and not concerns_server(reply.reply):
                self._suspect(season, "")
                fail(asked, BoardRebuilding, str(reply))
            else:
                fail(asked, BoardUnavailable, str(reply))
        elif not reply:
            if reply == 0:
                self._suspect(season, "")
            fail(asked, BoardRebuilding, "the board is being rebuilt")
        elif (problem := find_refusal(reply)) is not None:
            for _, future, _ in asked:
                if not future.done():
                    future.set_exception(Rejected(problem.answer))
        else:
            try:
                state = read_state(reply)
            except UNREADABLE:
                self._suspect(season, "")
                fail(asked, BoardRebuilding, "the board is being rebuilt")
                return
            at = 3
            for user, future, show in asked:
                rank = reply[at]
                if future.done():  # its client is gone
                    pass
                elif rank is None:
                    self._suspect(season, user.decode())
                    future.set_exception(BoardRebuilding("the board is being rebuilt"))
                elif rank >= 0:
                    try:
                        future.set_result(show((rank, reply[at + 1], reply[at + 2], state)))
                    except UNREADABLE:
                        self._suspect(season, user.decode())
                        future.set_exception(BoardRebuilding("the board is being rebuilt"))
                elif reply[0]:
                    future.set_exception(PlayerNotFound("the player is not on this board"))
                else:
                    future.set_exception(SeasonNotFound("there is no such season"))
                at += 3


def fail(asked: Asked, kind: type[LeaderboardError], text: str) -> None:
    """Fail all reads, each with its own exception: a raised exception holds its traceback."""
    for _, future, _ in asked:
        if not future.done():
            future.set_exception(kind(text))
