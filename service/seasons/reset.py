"""Resetting a season: the answer comes when no reader can see the old period any more."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from board.errors import BoardUnavailable
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.redis.poke import Poker
from board.season import sequence_of
from service.access.caller import Caller
from service.contract import problems
from service.contract.answers import Answer
from service.seasons.store import SeasonStore
from service.seasons.types import Deleted, PeriodBegun

POLL_S: Final = 0.002
"""The pause between two reads of the period that Redis shows."""

_encode = msgspec.json.Encoder().encode


class SeasonReset:
    """The resets of one worker.

    A reset waits at most `deadline_s` seconds for Redis. `cache_s` is the time for which workers reuse a top list.
    """

    def __init__(
        self, store: SeasonStore, redis: AsyncRedis, keys: Keyspace, poker: Poker, *, deadline_s: float, cache_s: float
    ) -> None:
        self._store: Final = store
        self._redis: Final = redis
        self._keys: Final = keys
        self._poker: Final = poker
        self._deadline_s: Final = deadline_s
        self._cache_s: Final = cache_s
        self._loop: Final = asyncio.get_running_loop()

    async def reset(self, season: str, caller: Caller) -> Answer:
        """Begin a new period (`Deleted`, 200; or `RESET_PENDING`). Raises as `SeasonStore.reset` does."""
        deadline = self._loop.time() + self._deadline_s
        turned = await self._store.reset(season, caller.act)
        if turned is not None:
            partition, period = turned
            self._poker.poke({partition})
            if not await self.wait_until_shown(season, period, deadline):
                return problems.RESET_PENDING.answer
        return Answer(200, _encode(Deleted(season, True)))

    async def end_period(self, season: str, caller: Caller) -> Answer:
        """End the period, keep it, and begin the next (`PeriodBegun`, 200; `SEASON_NOT_FOUND`; `RESET_PENDING`).

        Raises as `SeasonStore.end_period` does."""
        deadline = self._loop.time() + self._deadline_s
        ended = await self._store.end_period(season, caller.act)
        if ended is None:
            return problems.SEASON_NOT_FOUND.answer
        partition, period, found = ended
        self._poker.poke({partition})
        if not await self.wait_until_shown(season, period, deadline):
            return problems.RESET_PENDING.answer
        return Answer(200, _encode(PeriodBegun(season, found.season.period)))

    async def wait_until_shown(self, season: str, period: int, deadline: float) -> bool:
        """Wait until Redis shows a season's period or a later one; False if the loop's time passes `deadline`."""
        command = pack((b"HGET", self._keys.periods[partition_of(season)], season.encode()))
        while True:
            try:
                shown = await self._redis.ask(command)
            except BoardUnavailable:
                shown = None
            if shown is not None and shown.isdigit() and sequence_of(int(shown)) >= sequence_of(period):
                # Other workers may still answer with a top list that they have just read.
                await asyncio.sleep(self._cache_s)
                return True
            if self._loop.time() >= deadline:
                return False
            await asyncio.sleep(POLL_S)
