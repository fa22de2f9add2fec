"""Redis refuses commands for a reason of its own: no season is set aside, no relay ends, and all heals afterwards."""

from __future__ import annotations

import pytest
from support.marks import thinned
from support.processes import children_of, relaying
from support.relays import Hand, S, equal
from support.trouble import TROUBLES, OwnRedis
from support.world import World

from board.partitions import partition_of
from ctl.comparison.report import compare

SEASONS = ("s", "t", "u", "v", "w", "x")


def submit(world: World, player: str) -> None:
    """A new player in every season, so that a board grows."""
    world.submit(*((season, player, n + 1) for n, season in enumerate(SEASONS)))


@pytest.mark.parametrize("kind", thinned(TROUBLES, 3))
def test_a_batch_is_tried_again(own_redis: OwnRedis, kind: str) -> None:
    world = own_redis.world
    submit(world, "ada")
    hand = Hand(world)
    hand.drain()
    with own_redis.trouble(kind):
        submit(world, "bob")
        for season in SEASONS:
            hand.serve(partition_of(season))
        assert world.rows("SELECT season_id, reason FROM ailing") == []
        assert world.counts()["outbox"] == len(SEASONS), "the hints stay"
    hand.drain()
    assert equal(world, *SEASONS)


def test_beside_a_season_that_is_refused_itself_its_neighbours_are_not_set_aside(own_redis: OwnRedis) -> None:
    """The batch is refused for the first season; the second one, tried alone, meets missing rights."""
    world = own_redis.world
    neighbour = next(name for n in range(500) if partition_of(name := f"t{n}") == S)
    world.submit(("s", "ada", 1), (neighbour, "ada", 1))
    hand = Hand(world)
    hand.drain()
    world.redis.delete(world.keys.members(S, b"s"))
    world.redis.set(world.keys.members(S, b"s"), "nonsense")
    with own_redis.trouble("without rights"):
        world.submit(("s", "bob", 1), (neighbour, "bob", 1))
        hand.serve(S)
        assert world.rows("SELECT season_id FROM ailing") == []
        assert world.counts()["outbox"] == 2
    hand.serve(S)
    assert world.rows("SELECT season_id FROM ailing") == [("s",)]
    assert equal(world, neighbour)


@pytest.mark.parametrize("kind", thinned(TROUBLES, 3))
def test_a_partition_is_healed_later(own_redis: OwnRedis, kind: str) -> None:
    world = own_redis.world
    submit(world, "ada")
    hand = Hand(world)
    hand.drain()
    world.redis.flushall()
    with own_redis.trouble(kind):
        for _ in range(3):
            hand.careful(lambda: hand.relay.check(hand.session))
            hand.careful(lambda: hand.relay.repairs.sample(hand.session))
        assert world.rows("SELECT season_id FROM ailing") == []
    hand.drain()
    assert equal(world, *SEASONS)


@pytest.mark.parametrize("kind", thinned(TROUBLES, 3))
def test_a_season_that_was_set_aside_waits_no_longer_for_it(own_redis: OwnRedis, kind: str) -> None:
    world = own_redis.world
    submit(world, "ada")
    hand = Hand(world)
    hand.drain()
    hand.session.execute("set_aside", season="s", partition=partition_of("s"), reason="a test")
    world.execute("UPDATE ailing SET retry_at = now()")
    with own_redis.trouble(kind):
        hand.careful(lambda: hand.relay.repairs.retry_set_aside(hand.session))
        assert world.value("SELECT tries FROM ailing") == 1
    hand.relay.repairs.retry_set_aside(hand.session)
    assert world.rows("SELECT season_id FROM ailing") == [] and equal(world)


@pytest.mark.parametrize("kind", thinned(TROUBLES, 3))
def test_the_pool_outlives_it(own_redis: OwnRedis, kind: str) -> None:
    world = own_redis.world
    submit(world, "ada")
    with relaying(world, 2, LEADERBOARD_RELAY_SAMPLE_MS="100") as relay:
        relay.until(lambda: equal(world, *SEASONS))
        relays = children_of(relay.process.pid)
        with own_redis.trouble(kind):
            submit(world, "bob")
            said = "connection lost" if kind == "demoted" else "cannot be written"
            relay.until(lambda: said in relay.text())
        relay.until(lambda: equal(world, *SEASONS))
        assert relays <= children_of(relay.process.pid), "no relay has ended"
        assert world.rows("SELECT season_id FROM ailing") == []
        assert compare(world.settings, wait_s=20).equal
        assert "Traceback" not in relay.text()
