"""The number of players on the boards of seasons, as Redis has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from board.errors import BoardUnavailable
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.season import sequence_of
from service.seasons.store import Found
from service.seasons.types import Season


class BoardSizes:
    """Reads sizes of boards. PERF: PostgreSQL would have to count the rows of a period."""

    def __init__(self, redis: AsyncRedis, keys: Keyspace) -> None:
        self._redis: Final = redis
        self._keys: Final = keys

    async def add(self, found: Sequence[Found]) -> list[Season]:
        """The seasons with their `players`.

        Null where Redis does not answer, or shows a later period already: a definition can be read without it.
        """
        sizes = await asyncio.gather(*(self._measure(one.season.seasonId, one.period) for one in found))
        return [msgspec.structs.replace(one.season, players=size) for one, size in zip(found, sizes, strict=True)]

    async def _measure(self, season: str, period: int) -> int | None:
        """The players on the board of this period: 0 while Redis shows an earlier one."""
        partition, name = partition_of(season), season.encode()
        ask, which = self._redis.ask, pack((b"HGET", self._keys.periods[partition], name))
        try:
            # The board may be replaced by that of another period at any time.
            before, size, after = await asyncio.gather(
                ask(which), ask(pack((b"ZCARD", self._keys.board(partition, name)))), ask(which)
            )
        except BoardUnavailable:
            return None
        if before == after == b"%d" % period:
            return int(size)
        is_earlier = after is None or (after.isdigit() and sequence_of(int(after)) < sequence_of(period))
        return 0 if is_earlier else None
