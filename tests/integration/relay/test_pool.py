"""The relay pool as a process: pokes, lost connections, several relays."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from support.processes import relaying
from support.relays import Hand, S, equal
from support.waiting import eventually
from support.world import World

from relay.batch import BatchResult, relay_batch
from relay.session import RelaySession


def test_pokes_are_followed_at_once(world: World) -> None:
    world.create("s")
    with relaying(world, LEADERBOARD_RELAY_IDLE_MS="10000", LEADERBOARD_RELAY_CHECK_MS="600000") as relay:
        relay.until(lambda: world.counts()["outbox"] == 0)
        for n in range(1, 6):
            world.submit(("s", "ada", 1))
            world.redis.zadd(world.keys.poke, {str(S): 0})
            # Far below the idle interval of ten seconds.
            eventually(lambda: equal(world), 5)
            assert world.board("s")[0][1] == n


def test_lost_pokes_do_not_matter(world: World) -> None:
    with relaying(world):
        world.submit(("s", "ada", 1))
        eventually(lambda: world.board("s") != [] and equal(world))


@pytest.mark.parametrize("poke", [{"nonsense": 0}, {"64": 0}, {"-1": 0}, {"": 0}, {"9" * 40: 0}])
def test_strange_pokes_do_not_matter(world: World, poke: dict[str, int]) -> None:
    hand = Hand(world)
    world.redis.zadd(world.keys.poke, poke)
    world.submit(("s", "ada", 1))
    for _ in range(3):
        hand.relay.turn(hand.session)
    hand.drain()
    assert equal(world)


@pytest.mark.parametrize("key", ["poke", "held"])
def test_a_key_of_a_wrong_kind_does_not_stop_the_relay(world: World, key: str) -> None:
    world.redis.set(getattr(world.keys, key), "nonsense")
    with relaying(world):
        world.submit(("s", "ada", 1))
        eventually(lambda: world.board("s") != [] and equal(world))


def test_lost_connections_are_made_again(world: World) -> None:
    with relaying(world, 2) as relay:
        for _ in range(3):
            world.submit(("s", "ada", 1))
            relay.until(lambda: equal(world))
            world.terminate("leaderboard-relay")
            world.redis.client_kill_filter(_type="normal", skipme=True)
            world.submit(("s", "ada", 1))
            relay.until(lambda: equal(world))
    assert relay.process.returncode == 0


class Cut(RelaySession):
    """Its session is ended by the server as soon as it has seen that nothing waits."""

    world: World

    def fetch(self, name: str, **parameters: Any) -> list[Any]:
        rows = super().fetch(name, **parameters)
        if name == "take":
            assert self.world.value("SELECT pg_terminate_backend(%s, 5000)", self.db.info.backend_pid)
        return rows


def test_a_connection_lost_with_nothing_to_carry_is_an_ordinary_loss(world: World) -> None:
    session = world.session(Cut)
    assert isinstance(session, Cut)
    session.world = world
    assert relay_batch(session, 3) == BatchResult(0, 0, False, 0.0)
    with pytest.raises(psycopg.OperationalError):
        relay_batch(session, 3)


def test_a_flush_is_noticed_without_any_traffic(world: World) -> None:
    world.submit(("s", "ada", 1), ("t", "bob", 2))
    with relaying(world, 2) as relay:
        relay.until(lambda: equal(world, "s", "t"))
        for _ in range(3):
            world.redis.flushdb()
            relay.until(
                lambda: equal(world, "s", "t") and all(world.redis.hexists(k, "fence") for k in world.keys.watermark)
            )


def test_many_relays_on_few_partitions(world: World) -> None:
    seasons = ("s", "t", "u")
    with relaying(world, 3) as relay:
        for n in range(40):
            world.submit(*((season, f"p{n % 7}", n - 20 or 1) for season in seasons))
        relay.until(lambda: world.counts()["outbox"] == 0)
        assert equal(world, *seasons)
        assert relay.stop() == 0
    assert equal(world, *seasons)
