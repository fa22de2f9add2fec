"""Bounds of the asynchronous client: connecting ends, trying again is paced, suspicions are few."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from support.world import World

from board.errors import BoardUnavailable
from board.redis.async_redis import AsyncRedis, pack
from board.redis.poke import SUSPICIONS_MOST, Poker


def test_a_server_that_never_answers_is_given_up() -> None:
    async def run(port: int) -> float:
        redis = AsyncRedis(f"redis://127.0.0.1:{port}", deadline_s=0.2, name="leaderboard-test")
        began = time.monotonic()
        redis.start()
        await asyncio.wait_for(redis.first_try(), 10)
        with pytest.raises(BoardUnavailable):
            redis.send(pack(("PING",)))
        await redis.stop()
        return time.monotonic() - began

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert asyncio.run(run(silent.getsockname()[1])) < 5


def test_a_server_that_closes_at_once_is_tried_now_and_then() -> None:
    tries = 0

    def close_all(server: socket.socket) -> None:
        nonlocal tries
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return
            tries += 1

    async def run(port: int) -> None:
        redis = AsyncRedis(f"redis://127.0.0.1:{port}", deadline_s=0.2, name="leaderboard-test")
        redis.start()
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            await asyncio.sleep(0.01)
        await redis.stop()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=close_all, args=(server,))
        thread.start()
        asyncio.run(run(server.getsockname()[1]))
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    # Delays of 20 ms, doubled, each at least half of it.
    assert 2 <= tries <= 12


def test_suspicions_are_told_once_and_few_in_a_second(world: World) -> None:
    async def run() -> None:
        redis = AsyncRedis(world.settings.redis_url, deadline_s=5.0, name="leaderboard-test")
        redis.start()
        await redis.first_try()
        poker = Poker(redis, world.keys)

        async def told() -> int:
            """The number of suspicions that have been told, which are then taken away."""
            count = int(await redis.ask(pack(("ZCARD", world.keys.poke))))
            await redis.ask(pack(("DEL", world.keys.poke)))
            return count

        began = time.monotonic()
        poker.suspect("s")
        assert await told() == 1
        poker.suspect("s")
        assert await told() == 0, "told already"
        for n in range(2 * SUSPICIONS_MOST):
            poker.suspect(f"s{n}")
        assert await told() == SUSPICIONS_MOST - 1
        assert time.monotonic() - began < 1, "all of that in a second"
        while not await told():
            poker.suspect("s")
        assert 1 <= time.monotonic() - began < 3, "it is told again later"
        await redis.stop()

    asyncio.run(run())
