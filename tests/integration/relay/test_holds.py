"""Holds: one relay rests a partition, and no poke wakes another relay for it."""

from __future__ import annotations

import os
import socket
import time

import msgspec
import pytest
from support.processes import relaying, serving
from support.relays import Hand
from support.waiting import eventually
from support.world import World

from board.partitions import PARTITIONS, partition_of
from board.redis.scripts import script
from board.redis.sync_redis import SyncRedis
from relay.batch import relay_batch
from relay.holds import Holds

pytestmark = pytest.mark.topology

S = partition_of("s")
PACE_MS = 200


def poke(world: World, partition: int = S) -> None:
    """As the service does."""
    world.redis.eval(script("poke").source, 2, world.keys.poke, world.keys.held, partition)


def poked(world: World) -> list[int]:
    """Partitions that would wake a relay."""
    return sorted(int(member) for member in world.redis.zrange(world.keys.poke, 0, -1))


class Relays:
    """Two relays' holds, on connections of their own."""

    def __init__(self, world: World, rest_ms: int = 4_000) -> None:
        self.clients = [SyncRedis(world.settings.redis_url, f"test-{n}") for n in range(2)]
        self.holds = [Holds(world.keys, rest_ms) for _ in range(2)]

    def take(self, relay: int) -> bool:
        return self.holds[relay].take(self.clients[relay], S)

    def leave(self, relay: int) -> None:
        self.holds[relay].leave(self.clients[relay], S)


def test_a_poke_wakes_a_relay_unless_one_holds_the_partition(world: World) -> None:
    relays = Relays(world)
    poke(world)
    poke(world, S + 1)
    assert poked(world) == [S, S + 1]
    world.redis.delete(world.keys.poke)
    assert relays.take(0)
    poke(world)
    poke(world, S + 1)
    poke(world)
    assert poked(world) == [S + 1], "the relay that holds it lets go of it, and of the poke, after its rest"
    relays.leave(0)
    assert poked(world) == [S, S + 1]


def test_without_a_poke_letting_go_wakes_nobody(world: World) -> None:
    relays = Relays(world)
    assert relays.take(0)
    relays.leave(0)
    assert poked(world) == []
    poke(world)
    assert poked(world) == [S], "nobody holds it any more"


def test_a_note_tells_who_had_it_last_and_holds_nothing(world: World) -> None:
    relays = Relays(world)
    for n in (0, 1):
        assert relays.take(n), "a note holds nothing"
        relays.leave(n)
        until, _, name = world.redis.hget(world.keys.held, str(S)).partition(b":")
        now_s, us = world.redis.time()
        assert int(until) <= 1_000 * now_s + us / 1_000
        host, process, _ = name.decode().split("/")
        assert (host, process) == (socket.gethostname(), str(os.getpid()))
        assert name == relays.holds[n]._me
    assert world.redis.hlen(world.keys.held) == 1


def test_another_relay_is_refused_and_its_poke_kept(world: World) -> None:
    relays = Relays(world)
    assert relays.take(0)
    assert not relays.take(1)
    relays.leave(0)
    assert poked(world) == [S]
    assert relays.take(1)


def test_who_holds_it_may_hold_it_on(world: World) -> None:
    relays = Relays(world)
    assert relays.take(0)
    poke(world)
    assert relays.take(0), "it is going to carry what it was poked for"
    relays.leave(0)
    assert poked(world) == []


def test_a_hold_that_is_not_its_own_is_left_alone(world: World) -> None:
    relays = Relays(world)
    relays.take(0)
    poke(world)
    relays.leave(1)
    assert poked(world) == []
    relays.leave(0)
    assert poked(world) == [S]


def test_a_dead_relays_hold_passes(world: World) -> None:
    relays = Relays(world, rest_ms=1)
    relays.take(0)
    eventually(lambda: relays.take(1))


@pytest.mark.parametrize("value", ["", "nonsense", ":", "-", "12", "-7:", "9" * 15 + ":x", "-" + "9" * 400 + ":x"])
def test_strange_holds_do_no_harm(world: World, value: str) -> None:
    """Neither one that cannot be read, nor one that a clock of another time wrote and that would never end."""
    world.redis.hset(world.keys.held, str(S), value)
    poke(world)
    assert poked(world) == [S]
    world.redis.hset(world.keys.held, str(S), value)
    assert Relays(world).take(0)


def test_a_relay_that_stops_hands_over(world: World) -> None:
    # Longer than a busy machine takes from the visit to the poke.
    world.settings = msgspec.structs.replace(world.settings, relay_pace_ms=1_000)
    world.create("s")
    hand = Hand(world)
    hand.drain()
    world.submit(("s", "ada", 1))
    hand.relay.visit(hand.session, S)
    world.submit(("s", "ada", 1))
    poke(world)
    assert poked(world) == []
    hand.relay.hand_over(hand.session)
    assert poked(world) == [S]


def test_relays_beside_each_other_rest_a_partition_as_one(world: World) -> None:
    world.create("s")
    session = world.session()
    for partition in range(PARTITIONS):
        relay_batch(session, partition, check=True)
    quiet = {"LEADERBOARD_RELAY_IDLE_MS": "10000", "LEADERBOARD_RELAY_CHECK_MS": "600000"}
    with relaying(world, 3, LEADERBOARD_RELAY_PACE_MS=str(PACE_MS), **quiet):
        before = world.value("SELECT last_value FROM fence")
        started = time.monotonic()
        for n in range(1, 31):
            world.submit(("s", "ada", 1))
            poke(world)
            if n % 10 == 0:
                eventually(lambda n=n: bool(world.board("s")) and world.board("s")[0][1] == n, 10)
        rests = (time.monotonic() - started) * 1000 / PACE_MS
        batches = world.value("SELECT last_value FROM fence") - before
    assert 3 <= batches <= 1.5 * rests + 2, "each for itself they would be three times as many"


def test_a_worker_pokes_with_regard_to_holds(world: World) -> None:
    world.create("s")
    relays = Relays(world)
    with serving(world) as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202
        eventually(lambda: poked(world) == [S])
        world.redis.delete(world.keys.poke)
        relays.take(0)
        assert http.post("s", "ada", 1).status == 202
        eventually(lambda: world.redis.hget(world.keys.held, str(S)).startswith(b"-"))
        assert poked(world) == []
