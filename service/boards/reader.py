"""Reading boards from Redis, as JSON bytes. Equal reads of a top list that overlap are one read."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import msgspec

from _speedups import decode_score, render_items
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.poke import Poker
from board.redis.scripts import script
from service.boards.calls import BoardCalls
from service.boards.histogram import HISTOGRAM, QUANTILES
from service.boards.lookup import LOOKUP
from service.boards.rank_reads import RANK, RankReads
from service.boards.ranked_score import SCORE
from service.boards.types import Count, PlayerRank
from service.contract.answers import Answer

TOP: Final = script("top")
COUNT: Final = script("count")
SCRIPTS: Final = (TOP, RANK, COUNT, LOOKUP, SCORE, QUANTILES, HISTOGRAM)
"""Loaded with each connection to Redis."""
CACHED_MOST: Final = 4_096
"""Top lists in memory."""

_encode = msgspec.json.Encoder().encode


class BoardReader:
    """The reads of one worker. A top list is reused for `cache_s` seconds.

    Every read raises `BoardRebuilding` or `BoardUnavailable` rather than show a part of a board. A board that was
    altered by hand is suspected: a relay then compares and rebuilds it.
    """

    def __init__(self, redis: AsyncRedis, keys: Keyspace, cache_s: float, poker: Poker) -> None:
        self._call: Final = BoardCalls(redis, keys, poker).call
        self._rank_reads: Final = RankReads(redis, keys, poker.suspect)
        self._cache_s: Final = cache_s
        self._loop: Final = asyncio.get_running_loop()
        self._cached: dict[tuple[str, int, int], Answer] = {}
        self._cached_since = 0.0
        self._asked: dict[tuple[str, int, int], tuple[asyncio.Task[Answer], float]] = {}

    async def read_top(self, season: str, limit: int, offset: int = 0) -> Answer:
        """Read the best `limit` players after the first `offset` (`Top`); an unknown season has none."""
        key = (season, limit, offset)
        now = self._loop.time()
        if now - self._cached_since > self._cache_s or len(self._cached) >= CACHED_MOST:
            self._cached.clear()
            self._cached_since = now
        elif (answer := self._cached.get(key)) is not None:
            return answer
        task, began = self._asked.get(key, (None, 0.0))
        # A read under way for longer may be older than a reset that is already answered (`SeasonReset`).
        if task is None or now - began > self._cache_s:
            task = self._loop.create_task(self._fetch_top(key))
            self._asked[key] = (task, now)
            task.add_done_callback(partial(self._forget_read, key))
        # Shielded: a client that hangs up must not cancel the read of the others.
        return await asyncio.shield(task)

    def _forget_read(self, key: tuple[str, int, int], task: asyncio.Task[Answer]) -> None:
        if self._asked.get(key, (None, 0.0))[0] is task:
            del self._asked[key]

    async def _fetch_top(self, key: tuple[str, int, int]) -> Answer:
        season, limit, offset = key
        began = self._cached_since
        ranks = (b"%d" % (offset + limit - 1), b"%d" % offset) if offset else (b"%d" % (limit - 1),)
        reply = await self._call(TOP, season, *ranks)
        answer = Answer(200, b'{"seasonId":%b,"items":%b}' % (_encode(season), render_items(reply[1], 0)))
        # Kept only in the window in which it was asked for: no answer gets older than the window is long.
        if self._cached_since == began:
            self._cached[key] = answer
        return answer

    async def read_rank(self, season: str, user: str) -> Answer:
        """Read a player's rank (`PlayerRank`). Raises `SeasonNotFound`, `PlayerNotFound`."""
        rank, member, zscore = await self._rank_reads.ask(season, user, 0)
        shown = PlayerRank(
            seasonId=season,
            userId=user,
            rank=rank + 1,
            score=decode_score(int(float(zscore)), member),
            version=int.from_bytes(member[2:10], "big"),
        )
        return Answer(200, _encode(shown))

    async def read_around(self, season: str, user: str, side: int, fill: bool) -> Answer:
        """Read a player and `side` neighbours on each side (`Around`); with `fill` as many as there are, in all.

        Raises `SeasonNotFound`, `PlayerNotFound`.
        """
        if fill and side:
            first, items = await self._read_filled(season, user, side)
        elif side:
            _, first, items = await self._rank_reads.ask(season, user, side)
        else:
            first, *items = await self._rank_reads.ask(season, user, side)
        body = b'{"seasonId":%b,"userId":%b,"range":%d,"items":%b}' % (
            _encode(season),
            _encode(user),
            side,
            render_items(items, first + 1),
        )
        return Answer(200, body)

    async def _read_filled(self, season: str, user: str, side: int) -> tuple[int, list[bytes]]:
        """Read 2 * `side` + 1 entries (member, zscore, …) around a player, or the whole board if it has fewer.

        Returns the rank of the first one, from 0. The window that is read is twice as wide on each side, so it has all
        entries that can be shown.
        """
        rank, read, entries = await self._rank_reads.ask(season, user, 2 * side)
        last = read + len(entries) // 2 - 1
        first = max(read, min(rank - side, last - 2 * side))
        return first, entries[2 * (first - read) : 2 * (first - read + 2 * side + 1)]

    async def read_count(self, season: str) -> Answer:
        """Count the players on the board (`Count`); 0 for an unknown season."""
        reply = await self._call(COUNT, season)
        return Answer(200, _encode(Count(season, reply[0])))
