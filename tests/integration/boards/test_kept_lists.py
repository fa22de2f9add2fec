"""Top lists that a worker keeps: their number is bounded, and none is older than the time for which it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from support.proxy import Proxy
from support.world import World

from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis
from board.redis.poke import Poker
from service.boards.board_watch import BoardWatch
from service.boards.calls import BoardCalls
from service.boards.long_polls import LongPolls
from service.boards.past_boards import PastBoards
from service.boards.profile_cache import ProfileCache
from service.boards.profiles import ShownProfiles
from service.boards.rank_reads import RankReads
from service.boards.reader import SCRIPTS, BoardReader
from service.boards.run_metadata import RunMetadata
from service.boards.version_waits import VersionWaits
from service.contract.leaving import Leaving


def reading(
    world: World, cache_s: float, work: Callable[[BoardReader, AsyncRedis], Awaitable[None]], url: str | None = None
) -> None:
    """Do the work with a reader on a connection of its own."""

    async def main() -> None:
        redis = AsyncRedis(url or world.settings.redis_url, deadline_s=20.0, scripts=SCRIPTS, name="test")
        redis.start()
        await redis.first_try()
        store = ReadConnection(world.settings.database_url, "test", 20.0)
        try:
            poker = Poker(redis, world.keys)
            calls, reads = BoardCalls(redis, world.keys, poker), RankReads(redis, world.keys, poker.suspect)
            waits = VersionWaits(BoardWatch(calls, redis, world.keys))
            metadata = RunMetadata(store)
            past = PastBoards(store, metadata, redis, world.keys, 5.0)
            polls = LongPolls(BoardWatch(calls, redis, world.keys), Leaving())
            profiles = ShownProfiles(ProfileCache(redis, world.keys, poker, store, deadline_s=20.0))
            reader = BoardReader(calls, reads, waits, polls, past, metadata, profiles, cache_s=cache_s, deadline_s=20.0)
            await work(reader, redis)
        finally:
            await redis.stop()

    world.submit(("s", "ada", 1))
    world.carry_everything()
    asyncio.run(main())


def test_a_bounded_number_is_kept(world: World) -> None:
    async def work(reader: BoardReader, redis: AsyncRedis) -> None:
        kept = 0
        for first in range(0, 5_000, 500):
            await asyncio.gather(*(reader.read_top(f"s{n}", 10) for n in range(first, first + 500)))
            kept = max(kept, len(reader._cached))
        assert 1_000 < kept <= 4_096 + 500

    reading(world, 1_000.0, work)


def test_a_read_that_began_long_ago_is_not_joined(world: World, redis_proxy: Proxy) -> None:
    """It may be older than a reset that was answered meanwhile."""

    async def work(reader: BoardReader, redis: AsyncRedis) -> None:
        redis_proxy.freeze()
        first = asyncio.ensure_future(reader.read_top("s", 10))
        joined = asyncio.ensure_future(reader.read_top("s", 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert redis.waiting == 1, "one read for both"
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < 0.15:
            await asyncio.sleep(0.01)
        later = asyncio.ensure_future(reader.read_top("s", 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert redis.waiting == 2
        redis_proxy.open()
        answers = await asyncio.gather(first, joined, later)
        assert [answer.status for answer in answers] == [200] * 3

    reading(world, 0.1, work, f"redis://127.0.0.1:{redis_proxy.port}/1")


def test_a_late_answer_is_not_kept_in_the_next_window(world: World, redis_proxy: Proxy) -> None:
    async def work(reader: BoardReader, redis: AsyncRedis) -> None:
        redis_proxy.freeze()
        early = asyncio.ensure_future(reader.read_top("s", 10))
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < 1.1:
            await asyncio.sleep(0.01)
        other = asyncio.ensure_future(reader.read_top("t", 10))  # opens the next window
        await asyncio.sleep(0)
        redis_proxy.open()
        await asyncio.gather(early, other)
        assert ("t", 10, 0, ()) in reader._cached and ("s", 10, 0, ()) not in reader._cached

    reading(world, 1.0, work, f"redis://127.0.0.1:{redis_proxy.port}/1")


def test_a_client_that_hangs_up_takes_no_answer_from_the_others(world: World, redis_proxy: Proxy) -> None:
    async def work(reader: BoardReader, redis: AsyncRedis) -> None:
        redis_proxy.freeze()
        gone = asyncio.ensure_future(reader.read_top("s", 10))
        stays = asyncio.ensure_future(reader.read_top("s", 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        redis_proxy.open()
        assert (await stays).status == 200

    reading(world, 5.0, work, f"redis://127.0.0.1:{redis_proxy.port}/1")
