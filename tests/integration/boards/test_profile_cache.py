"""Profiles in a worker's memory: read once, dropped when there are newer ones, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.relays import Hand, S
from support.world import World

from board.errors import BoardUnavailable
from board.partitions import partition_of
from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis
from board.redis.poke import Poker
from board.redis.scripts import Script
from service.boards import profile_cache
from service.boards.profile_cache import PROFILES, ProfileCache

USERS = [name for n in range(300_000) if partition_of(name := f"p{n}") == S][:3_000]
"""Players of one partition."""


class CountingRedis(AsyncRedis):
    """Counts the calls of scripts."""

    calls = 0

    async def run(self, script: Script, *args: bytes, **more: Any) -> Any:
        self.calls += 1
        return await super().run(script, *args, **more)


def with_cache(world: World, ask: Callable[[ProfileCache, CountingRedis], Awaitable[None]]) -> None:
    """Do something with a cache on the servers of the world."""

    async def run() -> None:
        redis = CountingRedis(world.settings.redis_url, deadline_s=5.0, scripts=(PROFILES,), name="test")
        redis.start()
        await redis.first_try()
        reads = ReadConnection(world.settings.database_url, "test", 5.0)
        try:
            await ask(ProfileCache(redis, world.keys, Poker(redis, world.keys), reads, deadline_s=5.0), redis)
        finally:
            await reads.close()
            await redis.stop()

    asyncio.run(run())


def carry(world: World, *names: tuple[str, str | None]) -> None:
    for user, name in names:
        world.name_player(user, name)
    Hand(world).drain()


def users_of(*players: str) -> list[bytes]:
    return [player.encode() for player in players]


@pytest.mark.topology
def test_equal_reads_in_flight_are_one(world: World) -> None:
    carry(world, (USERS[0], "Ada"), (USERS[1], "Bob"))

    async def ask(cache: ProfileCache, redis: CountingRedis) -> None:
        assert await cache.has_some()
        two = users_of(USERS[0], USERS[1])
        answers = await asyncio.gather(*(cache.find([*two, b"nobody", two[0]]) for _ in range(20)))
        wanted = [b"Ada\n{}", b"Bob\n{}", None, b"Ada\n{}"]
        assert answers == [wanted] * 20
        # "nobody" is of a partition without profiles.
        assert redis.calls == 1
        assert await cache.find(two) == wanted[:2] and redis.calls == 1

    with_cache(world, ask)


@pytest.mark.topology
def test_profiles_are_read_again_after_a_change_in_their_partition(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_cache, "LOOK_S", 0.0)
    monkeypatch.setattr(profile_cache, "LOOK_LATEST_S", 0.0)
    other = next(name for n in range(500) if partition_of(name := f"o{n}") != S)
    carry(world, (USERS[0], "Ada"), (other, "Other"))

    async def ask(cache: ProfileCache, redis: CountingRedis) -> None:
        # A partition without any profile is not asked.
        for name, calls in (("Ada", 2), ("Grace", 3), (None, 3), ("Back", 4)):
            if name != "Ada":
                await asyncio.to_thread(carry, world, (USERS[0], name))
            for _ in range(3):
                assert await cache.has_some()
                shown = None if name is None else f"{name}\n{{}}".encode()
                assert await cache.find(users_of(USERS[0], other)) == [shown, b"Other\n{}"]
            assert redis.calls == calls, "only what may have changed was read"

    with_cache(world, ask)


@pytest.mark.topology
def test_the_memory_of_profiles_is_bounded(world: World) -> None:
    carry(world, (USERS[0], "Ada"))

    async def ask(cache: ProfileCache, redis: CountingRedis) -> None:
        assert await cache.has_some()
        for at in range(0, len(USERS), 100):
            await cache.find(users_of(*USERS[at : at + 100]))
        assert sum(map(len, cache._kept)) <= profile_cache.KEPT_MOST + 100
        assert await cache.find(users_of(USERS[0])) == [b"Ada\n{}"]

    with_cache(world, ask)


def test_a_read_that_fails_is_forgotten(world: World) -> None:
    carry(world, (USERS[0], "Ada"))

    async def ask(cache: ProfileCache, redis: CountingRedis) -> None:
        assert await cache.has_some()
        redis._protocol.abort()  # type: ignore[union-attr]
        found = await asyncio.gather(*(cache.find(users_of(USERS[0])) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in found] == [BoardUnavailable] * 3
        async with asyncio.timeout(20):
            while redis._protocol is None:
                await asyncio.sleep(0.01)
        assert await cache.find(users_of(USERS[0])) == [b"Ada\n{}"]

    with_cache(world, ask)


def test_a_client_that_hangs_up_takes_no_read_from_the_others(world: World) -> None:
    carry(world, (USERS[0], "Ada"))

    async def ask(cache: ProfileCache, redis: CountingRedis) -> None:
        assert await cache.has_some()
        first = asyncio.ensure_future(cache.find(users_of(USERS[0])))
        second = asyncio.ensure_future(cache.find(users_of(USERS[0])))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == [b"Ada\n{}"] and redis.calls == 1

    with_cache(world, ask)
