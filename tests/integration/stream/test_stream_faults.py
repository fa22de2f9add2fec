"""Streams under faults: a listener is told that the board cannot be read, and has the right list soon after."""

from __future__ import annotations

import itertools
import signal
import statistics
import threading
import time

import pytest
from support.processes import relaying, serving
from support.proxy import Proxy
from support.relays import carrying
from support.sse import EventStream
from support.waiting import eventually
from support.world import World

from service.stream.feed import AHEAD_MOST_S, CONFLATED_S, LOOK_S


def shown(world: World) -> list[tuple[int, str, int]]:
    """The list that PostgreSQL has."""
    return [(rank, user, score) for rank, (user, score, _) in enumerate(world.expected("s"), 1)]


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_without_redis_the_listener_is_told_and_catches_up(world: World, redis_proxy: Proxy, fault: str) -> None:
    world.submit(("s", "ada", 2), ("s", "bob", 1))
    world.carry_everything()
    url = f"redis://127.0.0.1:{redis_proxy.port}/1"
    with (
        carrying(world),
        serving(world, "/readyz", REDIS_URL=url, LEADERBOARD_READ_DEADLINE_MS="500") as api,
        EventStream(api.port, "s") as stream,
        EventStream(api.port, "s") as other,
    ):
        stream.take()
        other.take()
        getattr(redis_proxy, fault)()
        stream.until(lambda: stream.failure == "board-unavailable")
        with api.client() as http:
            refused = http.get("/v1/seasons/s/leaderboard/stream")
            assert (refused.status, refused.json["code"]) == (503, "board-unavailable")
        world.submit(("s", "bob", 10))
        redis_proxy.open()
        for one in (stream, other):
            one.until(lambda one=one: one.failure is None and one.list == shown(world))
        # Told once, however long it lasted.
        assert [event.name for event in other.events].count("unavailable") == 1


def test_a_slow_read_does_not_make_changes_older(world: World, redis_proxy: Proxy) -> None:
    world.submit(("s", "ada", 2))
    world.carry_everything()
    url = f"redis://127.0.0.1:{redis_proxy.port}/1"
    with carrying(world), serving(world, "/readyz", REDIS_URL=url) as api, EventStream(api.port, "s") as stream:
        stream.take()
        redis_proxy.delay_s = 0.9 * AHEAD_MOST_S
        stop = threading.Event()

        def change() -> None:
            while not stop.wait(0.01):
                world.submit(("s", "ada", 1))

        thread = threading.Thread(target=change)
        thread.start()
        times = []
        try:
            for _ in range(16):
                stream.take()
                times.append(time.monotonic())
        finally:
            stop.set()
            thread.join()
        took = [later - earlier for earlier, later in itertools.pairwise(times[3:])]
        # The time of a read is not added to the pause between two changes.
        assert statistics.median(took) < CONFLATED_S + AHEAD_MOST_S / 2


def test_an_end_of_a_failure_without_a_change_is_told(world: World, redis_proxy: Proxy) -> None:
    world.submit(("s", "ada", 2))
    world.carry_everything()
    url = f"redis://127.0.0.1:{redis_proxy.port}/1"
    with (
        serving(world, "/readyz", REDIS_URL=url, LEADERBOARD_READ_DEADLINE_MS="500") as api,
        EventStream(api.port, "s") as stream,
    ):
        stream.take()
        redis_proxy.cut()
        stream.until(lambda: stream.failure)
        redis_proxy.open()
        began = time.monotonic()
        stream.until(lambda: not stream.failure)
        # Not only when a wait for a change has ended.
        assert time.monotonic() - began < LOOK_S / 2
        assert stream.events[-1].data["rows"] == []


def test_a_board_that_is_lost_comes_back(world: World) -> None:
    world.submit(("s", "ada", 2), ("s", "bob", 1))
    world.carry_everything()
    with carrying(world), serving(world, "/readyz") as api, EventStream(api.port, "s") as stream:
        stream.take()
        world.drop_keys()
        world.submit(("s", "bob", 10))
        stream.until(lambda: stream.list == shown(world) and stream.failure is None)


def test_a_relay_that_is_killed_is_waited_for(world: World) -> None:
    world.submit(("s", "ada", 2), ("s", "bob", 1))
    world.carry_everything()
    with serving(world, "/readyz") as api, EventStream(api.port, "s") as stream:
        stream.take()
        with relaying(world) as relay:
            world.submit(("s", "bob", 10))
            stream.until(lambda: stream.list == shown(world))
            relay.stop(signal.SIGKILL)
        world.submit(("s", "ada", 100), ("s", "cy", 50))
        with relaying(world):
            stream.until(lambda: stream.list == shown(world))
        eventually(lambda: world.board("s") == world.expected("s"))
