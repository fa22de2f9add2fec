"""Reading boards from Redis, as JSON bytes. Equal reads of a top list that overlap are one read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from _speedups import decode_score, render_items
from board.errors import BoardRebuilding, LeaderboardError
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.poke import Poker
from board.redis.replies import RedisRefused, concerns_server
from board.redis.scripts import script
from board.season import Order, order_of, turn
from service.boards.rank_reads import RANK, RankReads
from service.boards.types import Count, PlayerRank
from service.contract.answers import Answer

TOP: Final = script("top")
COUNT: Final = script("count")
SCRIPTS: Final = (TOP, RANK, COUNT)
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
        self._redis: Final = redis
        self._keys: Final = keys
        self._poker: Final = poker
        self._rank_reads: Final = RankReads(redis, keys, poker.suspect)
        self._cache_s: Final = cache_s
        self._loop: Final = asyncio.get_running_loop()
        self._cached: dict[tuple[str, int], Answer] = {}
        self._cached_since = 0.0
        self._asked: dict[tuple[str, int], tuple[asyncio.Task[Answer], float]] = {}

    async def read_top(self, season: str, limit: int) -> Answer:
        """Read the best `limit` players (`Top`); an unknown season has none."""
        key = (season, limit)
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

    def _forget_read(self, key: tuple[str, int], task: asyncio.Task[Answer]) -> None:
        if self._asked.get(key, (None, 0.0))[0] is task:
            del self._asked[key]

    async def _fetch_top(self, key: tuple[str, int]) -> Answer:
        season, limit = key
        began = self._cached_since
        try:
            reply = await self._redis.run(TOP, *self._place(season, self._keys.periods), b"%d" % (limit - 1))
        except RedisRefused as error:
            raise self._explain(season, error) from None
        if not reply:
            raise self._explain(season, reply)
        items = render_board(reply[1], 0, order_of(int(reply[2] or 0)))
        answer = Answer(200, b'{"seasonId":%b,"items":%b}' % (_encode(season), items))
        # Kept only in the window in which it was asked for: no answer gets older than the window is long.
        if self._cached_since == began:
            self._cached[key] = answer
        return answer

    def _place(self, season: str, *more: list[bytes]) -> tuple[bytes, ...]:
        """The keys of a season, and its name, as ``top.lua`` and ``count.lua`` take them. `more` keys of its partition
        are those from each list."""
        partition, name, keys = partition_of(season), season.encode(), self._keys
        board, members = keys.board(partition, name), keys.members(partition, name)
        further = [each[partition] for each in more]
        return b"%d" % (3 + len(more)), keys.watermark[partition], board, members, *further, name

    def _explain(self, season: str, reply: Any) -> LeaderboardError:
        """The error for a reply without a board. A board that does not agree with itself is suspected."""
        if isinstance(reply, RedisRefused) and concerns_server(reply.reply):
            return reply
        if isinstance(reply, RedisRefused) or reply == 0:
            self._poker.suspect(season)
        return BoardRebuilding("the board is being rebuilt")

    async def read_rank(self, season: str, user: str) -> Answer:
        """Read a player's rank (`PlayerRank`). Raises `SeasonNotFound`, `PlayerNotFound`."""
        rank, member, zscore, order = await self._rank_reads.ask(season, user, 0)
        shown = PlayerRank(
            seasonId=season,
            userId=user,
            rank=rank + 1,
            score=turn(decode_score(int(float(zscore)), member), order),
            version=int.from_bytes(member[2:10], "big"),
        )
        return Answer(200, _encode(shown))

    async def read_around(self, season: str, user: str, side: int) -> Answer:
        """Read a player and `side` neighbours on each side (`Around`). Raises `SeasonNotFound`, `PlayerNotFound`."""
        first, *items, order = await self._rank_reads.ask(season, user, side)
        if side:
            first, items = items
        body = b'{"seasonId":%b,"userId":%b,"range":%d,"items":%b}' % (
            _encode(season),
            _encode(user),
            side,
            render_board(items, first + 1, order),
        )
        return Answer(200, body)

    async def read_count(self, season: str) -> Answer:
        """Count the players on the board (`Count`); 0 for an unknown season."""
        try:
            reply = await self._redis.run(COUNT, *self._place(season))
        except RedisRefused as error:
            raise self._explain(season, error) from None
        if not reply:
            raise self._explain(season, reply)
        return Answer(200, _encode(Count(season, reply[0])))


def render_board(replies: Sequence[bytes], first_rank: int, order: Order) -> bytes:
    """The JSON list of a board's window (`render_items`), with the scores as they were submitted."""
    body = render_items(replies, first_rank)
    if order == "desc":
        return body
    items = msgspec.json.decode(body)
    for item in items:
        item["score"] = turn(item["score"], order)
    return _encode(items)
