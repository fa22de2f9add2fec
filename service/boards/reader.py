"""Reading boards from Redis, as JSON bytes. Equal reads of a top list that overlap are one read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from _speedups import render_items
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.poke import Poker
from board.redis.scripts import script
from board.season import order_of, turn
from service.boards.calls import BoardCalls, read_score_of
from service.boards.histogram import HISTOGRAM, QUANTILES
from service.boards.lookup import LOOKUP
from service.boards.past_boards import PastBoards
from service.boards.rank_reads import RANK, RankReads, Window
from service.boards.ranked_score import SCORE
from service.boards.types import Count, PlayerRank
from service.contract.answers import Answer, PendingAnswer

TOP: Final = script("top")
COUNT: Final = script("count")
SCRIPTS: Final = (TOP, RANK, COUNT, LOOKUP, SCORE, QUANTILES, HISTOGRAM)
"""Loaded with each connection to Redis."""
CACHED_MOST: Final = 4_096
"""Top lists in memory."""

_encode = msgspec.json.Encoder().encode


class BoardReader:
    """The reads of one worker. A top list is reused for `cache_s` seconds. `past` reads periods by their number.

    Every read raises `BoardRebuilding` or `BoardUnavailable` rather than show a part of a board. A board that was
    altered by hand is suspected: a relay then compares and rebuilds it.
    """

    def __init__(self, redis: AsyncRedis, keys: Keyspace, cache_s: float, poker: Poker, past: PastBoards) -> None:
        self._past: Final = past
        calls = BoardCalls(redis, keys, poker)
        self._call: Final = calls.call
        self._reading: Final = calls.reading
        self._rank_reads: Final = RankReads(redis, keys, poker.suspect)
        self._cache_s: Final = cache_s
        self._loop: Final = asyncio.get_running_loop()
        self._cached: dict[tuple[str, int, int], asyncio.Future[Answer]] = {}
        self._cached_since = 0.0
        self._asked: dict[tuple[str, int, int], tuple[asyncio.Task[Answer], float]] = {}

    def read_top(self, season: str, limit: int, offset: int = 0, period: int | None = None) -> PendingAnswer:
        """Read the best `limit` players after the first `offset` (`Top`); an unknown season has none.

        PERF: a kept list needs no task.
        """
        key = (season, limit, offset)
        if period is not None:
            # Not of the kept ones: those may be of the period before.
            return self._past.read_top(season, period, limit, offset, lambda: self._fetch_top(key))
        now = self._loop.time()
        if now - self._cached_since > self._cache_s or len(self._cached) >= CACHED_MOST:
            self._cached.clear()
            self._cached_since = now
        elif (answer := self._cached.get(key)) is not None:
            return answer
        return self._join_read(key, now)

    async def _join_read(self, key: tuple[str, int, int], now: float) -> Answer:
        """Wait for the read of a list that is under way, or begin it."""
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
        period, entries = await self._call(TOP, season, *ranks)
        with self._reading(season):
            items = render_board(entries, 0, period)
        answer = Answer(200, b'{"seasonId":%b,"items":%b}' % (_encode(season), items))
        # Kept only in the window in which it was asked for: no answer gets older than the window is long. Pages are not
        # kept, since there are too many of them.
        if self._cached_since == began and not offset:
            self._cached[key] = kept = self._loop.create_future()
            kept.set_result(answer)
        return answer

    def read_rank(self, season: str, user: str, period: int | None = None) -> PendingAnswer:
        """Read a player's rank (`PlayerRank`). Raises `SeasonNotFound`, `PlayerNotFound`."""
        if period is not None:
            return self._past.read_rank(season, period, user, lambda: self.read_rank(season, user))
        return self._rank_reads.ask(season, user, 0, partial(_show_rank, season, user))

    def read_around(self, season: str, user: str, side: int, fill: bool, period: int | None = None) -> PendingAnswer:
        """Read a player and `side` neighbours on each side (`Around`); with `fill` as many as there are, in all.

        The window that is read for `fill` is twice as wide on each side, so it has all entries that can be shown.
        Raises `SeasonNotFound`, `PlayerNotFound`.
        """
        if period is not None:
            live = partial(self.read_around, season, user, side, fill)
            return self._past.read_around(season, period, user, side, fill, live)
        read = 2 * side if fill else side
        return self._rank_reads.ask(season, user, read, partial(_show_around, season, user, side, fill))

    async def read_count(self, season: str, period: int | None = None) -> Answer:
        """Count the players on the board (`Count`); 0 for an unknown season."""
        if period is not None:
            return await self._past.read_count(season, period, lambda: self.read_count(season))
        reply = await self._call(COUNT, season)
        return Answer(200, _encode(Count(season, reply[0])))


def render_board(entries: Sequence[bytes], first_rank: int, period: bytes) -> bytes:
    """The JSON list of a board's window (`render_items`), with the scores as they were submitted.

    Raises an error of `UNREADABLE`.
    """
    body = render_items(entries, first_rank)
    if order_of(int(period or 0)) == "desc":
        return body
    items = msgspec.json.decode(body)
    for item in items:
        item["score"] = turn(item["score"], "asc")
    return _encode(items)


def _show_rank(season: str, user: str, window: Window) -> Answer:
    rank, member, zscore, period = window
    score, version = read_score_of(member, zscore, period), int.from_bytes(member[2:10], "big")
    return Answer(200, _encode(PlayerRank(season, user, rank + 1, score, version)))


def _show_around(season: str, user: str, side: int, fill: bool, window: Window) -> Answer:
    rank, first, entries, period = window
    if not side:
        first, entries = rank, [first, entries]
    elif fill:
        first, entries = fill_window(side, rank, first, entries)
    body = b'{"seasonId":%b,"userId":%b,"range":%d,"items":%b}' % (
        _encode(season),
        _encode(user),
        side,
        render_board(entries, first + 1, period),
    )
    return Answer(200, body)


def fill_window(side: int, rank: int, first_read: int, entries: list[bytes]) -> tuple[int, list[bytes]]:
    """2 * `side` + 1 entries (member, zscore, …) around a rank, or the whole board if it has fewer.

    `entries` begin at the rank `first_read`, from 0, as the result does at its own.
    """
    last = first_read + len(entries) // 2 - 1
    first = max(first_read, min(rank - side, last - 2 * side))
    return first, entries[2 * (first - first_read) : 2 * (first - first_read + 2 * side + 1)]
