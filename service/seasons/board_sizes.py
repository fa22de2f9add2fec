"""The number of players on the boards of seasons, as Redis has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from board.errors import BoardUnavailable
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from service.seasons.types import Season


class BoardSizes:
    """Reads sizes of boards. PERF: PostgreSQL would have to count the rows of a period."""

    def __init__(self, redis: AsyncRedis, keys: Keyspace) -> None:
        self._redis: Final = redis
        self._keys: Final = keys

    async def add(self, seasons: Sequence[Season]) -> list[Season]:
        """The seasons with their `players`. Null where Redis does not answer: a definition can be read without it."""
        sizes = await asyncio.gather(*(self._measure(season.seasonId) for season in seasons))
        return [msgspec.structs.replace(season, players=size) for season, size in zip(seasons, sizes, strict=True)]

    async def _measure(self, season: str) -> int | None:
        key = self._keys.board(partition_of(season), season.encode())
        try:
            size: Any = await self._redis.ask(pack((b"ZCARD", key)))
        except BoardUnavailable:
            return None
        return int(size)
