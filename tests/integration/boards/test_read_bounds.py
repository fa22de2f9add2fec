"""Bounds of reads: each has a deadline, a dead connection is left, and no more replies are awaited than is good."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
from support.http import JSON
from support.processes import serving
from support.proxy import Proxy
from support.waiting import eventually
from support.world import World

from board.errors import BoardUnavailable
from board.redis.async_redis import IN_FLIGHT_MOST, AsyncRedis, pack
from board.redis.scripts import script

TARGETS = (
    "/v1/seasons/s/leaderboard/top",
    "/v1/seasons/s/leaderboard/rank?userId=ada",
    "/v1/seasons/s/leaderboard/around?userId=ada",
    "/v1/seasons/s/leaderboard/count",
    "/v1/seasons/s/leaderboard/score?rank=1",
    "/v1/seasons/s/leaderboard/histogram",
    "/v1/seasons/s/leaderboard/lookup",
)
BODIES = {TARGETS[-1]: b'{"userIds":["ada"]}'}
"""The others are asked with GET."""


@pytest.fixture
def behind(world: World, redis_proxy: Proxy) -> World:
    """A world with a board, and its processes behind a proxy to Redis."""
    world.submit(("s", "ada", 1))
    world.carry_everything()
    world.settings = msgspec.structs.replace(world.settings, redis_url=f"redis://127.0.0.1:{redis_proxy.port}/1")
    return world


def test_a_read_is_answered_at_its_deadline_and_not_when_the_connection_is_given_up(
    behind: World, redis_proxy: Proxy
) -> None:
    with serving(behind, "/readyz", LEADERBOARD_READ_DEADLINE_MS="1000") as api:
        clients = [api.client() for _ in TARGETS]
        redis_proxy.freeze()
        began = time.monotonic()
        for http, target in zip(clients, TARGETS, strict=True):
            body = BODIES.get(target)
            http.send("GET" if body is None else "POST", target, body, None if body is None else JSON)
        answers = [http.receive() for http in clients]
        took = time.monotonic() - began
        redis_proxy.open()
        for http in clients:
            http.connection.close()
    assert [(answer.status, answer.json["code"]) for answer in answers] == [(503, "board-unavailable")] * len(TARGETS)
    assert 0.9 < took < 2.5, "the connection is given up after five deadlines"


def test_a_probe_is_answered_at_its_own_deadline(behind: World, redis_proxy: Proxy) -> None:
    with serving(behind, "/readyz", LEADERBOARD_PROBE_DEADLINE_MS="300") as api, api.client() as http:
        redis_proxy.freeze()
        began = time.monotonic()
        answer = http.get("/readyz")
        assert (answer.status, answer.json["redis"], answer.json["postgres"]) == (503, "down", "ok")
        assert time.monotonic() - began < 3, "reads have five seconds"
        redis_proxy.open()


def test_a_connection_without_replies_is_left_although_new_commands_are_sent(behind: World, redis_proxy: Proxy) -> None:
    with serving(behind, "/readyz", LEADERBOARD_READ_DEADLINE_MS="200") as api, api.client() as http:
        eventually(lambda: http.get(TARGETS[1]).status == 200)
        redis_proxy.black_hole()
        assert http.get(TARGETS[1]).status == 503
        eventually(lambda: http.get(TARGETS[1]).status == 200, 6)


def test_a_connection_that_swallows_everything_takes_a_bounded_number_of_commands(
    behind: World, redis_proxy: Proxy
) -> None:
    async def run() -> None:
        redis = AsyncRedis(behind.settings.redis_url, deadline_s=30.0, name="leaderboard-test")
        redis.start()
        await redis.first_try()
        redis_proxy.freeze()
        ping = pack(("PING",))
        waiting = [redis.send(ping) for _ in range(IN_FLIGHT_MOST - redis.waiting)]
        with pytest.raises(BoardUnavailable, match="too many reads"):
            redis.send(ping)
        redis.tell(ping)
        assert redis.waiting == IN_FLIGHT_MOST
        told: list[object] = []
        redis.call(script("top"), [b"0"], told.append)
        assert isinstance(told[0], BoardUnavailable)
        redis_proxy.open()
        assert await asyncio.gather(*waiting) == [b"PONG"] * len(waiting)
        await redis.stop()

    asyncio.run(run())
