"""Boards of periods by their number: the current one from Redis, all others from PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from board.errors import BoardRebuilding
from board.partitions import partition_of
from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from service.boards.rank_reads import PlayerNotFound, SeasonNotFound
from service.boards.types import Around, Count, Entry, PlayerRank, RankedEntry, Top
from service.contract.answers import Answer, PendingAnswer
from service.contract.problems import Rejected, add_problem

PERIOD_NOT_FOUND: Final = add_problem(
    "period-not-found",
    404,
    "The season has not had such a period yet.",
    "The season's current period has a lower number.",
)
PERIOD_EXPIRED: Final = add_problem(
    "period-expired",
    410,
    "The period is no longer kept.",
    "It was deleted, or is older than the season's `keepPeriods`.",
)
POLL_S: Final = 0.005
"""The pause between two looks at the period that Redis shows."""

_encode = msgspec.json.Encoder().encode


class Past(msgspec.Struct, frozen=True):
    """A period that has ended. `players` is None as long as it has no standings."""

    period: int
    number: int
    players: int | None


class PastBoards:
    """The reads of one worker that name a period. Each has `deadline_s` seconds for Redis to show it.

    Every read raises `SeasonNotFound`, `Rejected` for a period that is not there, `StoreUnavailable`,
    `ServerUnreachable`, and for the current period what the read of a current board raises.
    """

    def __init__(self, reads: ReadConnection, redis: AsyncRedis, keys: Keyspace, deadline_s: float) -> None:
        self._read: Final = reads.read
        self._redis: Final = redis
        self._keys: Final = keys
        self._deadline_s: Final = deadline_s
        self._loop: Final = asyncio.get_running_loop()

    async def read_top(
        self, season: str, number: int, limit: int, offset: int, live: Callable[[], PendingAnswer]
    ) -> Answer:
        """Read the best `limit` players after the first `offset` (`Top`)."""
        past = await self._find(season, number, live)
        if isinstance(past, Answer):
            return past
        rows = await self._window(past, offset + 1, offset + limit)
        return Answer(200, _encode(Top(season, [Entry(user, score) for _, user, score, _ in rows], number)))

    async def read_rank(self, season: str, number: int, user: str, live: Callable[[], PendingAnswer]) -> Answer:
        """Read a player's final rank (`PlayerRank`). Raises also `PlayerNotFound`."""
        past = await self._find(season, number, live)
        if isinstance(past, Answer):
            return past
        rank, _, score, version = await self._find_player(past, user)
        return Answer(200, _encode(PlayerRank(season, user, rank, score, version, number)))

    async def read_around(
        self, season: str, number: int, user: str, side: int, fill: bool, live: Callable[[], PendingAnswer]
    ) -> Answer:
        """Read a player among the neighbours (`Around`). Raises also `PlayerNotFound`."""
        past = await self._find(season, number, live)
        if isinstance(past, Answer):
            return past
        rank, *_ = await self._find_player(past, user)
        first, last = rank - side, rank + side
        if fill:
            # As many as there are: more on one side where the other one ends.
            count = await self._count(past)
            first = max(1, min(first, count - 2 * side))
            last = max(last, first + 2 * side)
        rows = await self._window(past, first, last)
        items = [RankedEntry(rank, user, score) for rank, user, score, _ in rows]
        return Answer(200, _encode(Around(season, user, side, items, number)))

    async def read_count(self, season: str, number: int, live: Callable[[], PendingAnswer]) -> Answer:
        """Count the players (`Count`)."""
        past = await self._find(season, number, live)
        if isinstance(past, Answer):
            return past
        return Answer(200, _encode(Count(season, await self._count(past), number)))

    async def _find(self, season: str, number: int, live: Callable[[], PendingAnswer]) -> Past | Answer:
        """Find a period; for the current one it is the answer of `live`, which reads Redis."""
        deadline = self._loop.time() + self._deadline_s
        while True:
            rows = await self._read("named_period", {"season": season, "number": number})
            if not rows:
                raise SeasonNotFound("there is no such season")
            current, period, is_kept, is_current, has_standings, players = rows[0]
            if number > current:
                raise Rejected(PERIOD_NOT_FOUND.answer)
            if not is_kept:
                raise Rejected(PERIOD_EXPIRED.answer)
            if has_standings or not is_current:
                return Past(period, number, players)
            # The board may be replaced by that of another period at any time: it is this one's if Redis shows this
            # period before and after.
            if await self._shows(season, period):
                answer = await live()
                if await self._shows(season, period):
                    return msgspec.structs.replace(answer, body=answer.body[:-1] + b',"period":%d}' % number)
            if self._loop.time() >= deadline:
                raise BoardRebuilding("the board of this period is not shown yet")
            await asyncio.sleep(POLL_S)

    async def _shows(self, season: str, period: int) -> bool:
        """Whether Redis shows this period of the season. Raises `BoardUnavailable`."""
        command = pack((b"HGET", self._keys.periods[partition_of(season)], season.encode()))
        return bool(await self._redis.ask(command) == b"%d" % period)

    async def _find_player(self, past: Past, user: str) -> Any:
        """A player's position, id, score and version."""
        name = "ranked_player" if past.players is None else "standing"
        rows = await self._read(name, {"period": past.period, "user": user})
        if not rows:
            raise PlayerNotFound("the player is not on this board")
        return rows[0]

    async def _window(self, past: Past, first: int, last: int) -> list[Any]:
        """Position, id, score and version of the players from one position to another one."""
        name = "ranked" if past.players is None else "standings"
        return await self._read(name, {"period": past.period, "first": first, "last": last})

    async def _count(self, past: Past) -> int:
        """The number of players."""
        if past.players is not None:
            return past.players
        ((count,),) = await self._read("count_players", {"period": past.period})
        return int(count)
