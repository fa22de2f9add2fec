"""Reading boards: Redis only, rendered as bytes. Equal reads of a top list are one read."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import msgspec

from _speedups import decode_score, render_items
from board.errors import BoardRebuilding, BoardUnavailable
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from service.boards.rank_reads import Windows
from service.contract.types import PlayerRank

TOP: Final = script("top")
POKE: Final = script("poke")
CACHED_MOST: Final = 4_096

_encode = msgspec.json.Encoder().encode


class Boards:
    """Reads of one worker. Raises `BoardRebuilding` and `BoardUnavailable` rather than show half a board."""

    def __init__(self, pipe: AsyncRedis, keys: Keyspace, cache_s: float) -> None:
        self._pipe: Final = pipe
        self._keys: Final = keys
        self._windows: Final = Windows(pipe, keys)
        self._cache_s: Final = cache_s
        self._loop: Final = asyncio.get_running_loop()
        self._cached: dict[tuple[str, int], bytes] = {}
        self._cached_since = 0.0
        self._asked: dict[tuple[str, int], tuple[asyncio.Task[bytes], float]] = {}

    async def top(self, season: str, limit: int) -> bytes:
        """The best `limit` players as the JSON of `service.contract.types.Top`; an unknown season has none."""
        key = (season, limit)
        now = self._loop.time()
        if now - self._cached_since > self._cache_s or len(self._cached) >= CACHED_MOST:
            self._cached.clear()
            self._cached_since = now
        elif (body := self._cached.get(key)) is not None:
            return body
        task, began = self._asked.get(key, (None, 0.0))
        # A read that has been under way for longer may be older than a reset that is answered by now (see `shows`).
        if task is None or now - began > self._cache_s:
            task = self._loop.create_task(self._read_top(key))
            self._asked[key] = (task, now)
            task.add_done_callback(partial(self._answered, key))
        # Shielded: the one who hangs up must not take the answer from the others.
        return await asyncio.shield(task)

    def _answered(self, key: tuple[str, int], task: asyncio.Task[bytes]) -> None:
        if self._asked.get(key, (None, 0.0))[0] is task:
            del self._asked[key]

    async def _read_top(self, key: tuple[str, int]) -> bytes:
        season, limit = key
        began = self._cached_since
        partition = partition_of(season)
        name = season.encode()
        reply = await self._pipe.run(
            TOP, b"2", self._keys.watermark[partition], self._keys.board(partition, name), b"%d" % (limit - 1)
        )
        if not reply:
            raise BoardRebuilding("the board is being rebuilt")
        body = b'{"seasonId":%b,"items":%b}' % (_encode(season), render_items(reply[1], 0))
        # Kept only in the window it was asked in: no answer is ever older than the window is long.
        if self._cached_since == began:
            self._cached[key] = body
        return body

    async def rank(self, season: str, user: str) -> bytes:
        """A player's rank as the JSON of `PlayerRank`. Raises `SeasonNotFound`, `PlayerNotFound`."""
        rank, _, (member, zscore) = await self._windows.ask(season, user, 0)
        return _encode(
            PlayerRank(
                seasonId=season,
                userId=user,
                rank=rank + 1,
                score=decode_score(int(float(zscore)), member),
                version=int.from_bytes(member[2:10], "big"),
            )
        )

    async def around(self, season: str, user: str, side: int) -> bytes:
        """A player's neighbours as the JSON of `Around`. Raises `SeasonNotFound`, `PlayerNotFound`."""
        _, first, items = await self._windows.ask(season, user, side)
        return b'{"seasonId":%b,"userId":%b,"range":%d,"items":%b}' % (
            _encode(season),
            _encode(user),
            side,
            render_items(items, first + 1),
        )

    async def shows(self, season: str, period: int, deadline: float) -> bool:
        """Wait until Redis shows a season's period (or a later one); False when the loop's clock passes `deadline`."""
        command = pack((b"HGET", self._keys.periods[partition_of(season)], season.encode()))
        while True:
            try:
                held = await self._pipe.ask(command)
            except BoardUnavailable:
                held = None
            if held is not None and held.isdigit() and int(held) >= period:
                # Other workers may still hand out what they read a moment ago.
                await asyncio.sleep(self._cache_s)
                return True
            if self._loop.time() >= deadline:
                return False
            await asyncio.sleep(0.002)

    def now(self) -> float:
        """The clock that deadlines are told by."""
        return self._loop.time()

    def poke(self, partitions: set[int]) -> None:
        """Tell the relays that these partitions have fresh hints. Lost without harm: relays also poll."""
        # The whole script each time: nobody reads the reply, so nobody would hear that Redis has forgotten it.
        keys = self._keys
        self._pipe.tell(pack((b"EVAL", POKE.source, b"2", keys.poke, keys.held, *(b"%d" % p for p in partitions))))

    async def ping(self) -> None:
        """Raise `BoardUnavailable` unless Redis answers."""
        await self._pipe.ask(pack((b"PING",)))
