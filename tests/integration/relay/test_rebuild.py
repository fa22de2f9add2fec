"""A rebuild: the same board as by hints, nothing left behind, refused to a fenced relay."""

from __future__ import annotations

import pytest
from support.relays import S, equal, write_watermark
from support.world import World

from board.partitions import partition_of
from relay.batch import Refused, relay_batch
from relay.rebuild import rebuild
from relay.session import RelaySession


def test_a_rebuild_is_identical_to_what_the_relay_made(world: World) -> None:
    rows = [("s", f"p{n}", (n * 7919) % 1000 - 500) for n in range(1, 2_500) if (n * 7919) % 1000 != 500]
    world.submit(*rows, ("s", "top", 2**63 - 1), ("s", "low", -(2**63)))
    session = world.session()
    while (done := relay_batch(session, S)) is not None and done.more:
        pass
    key, members = world.keys.board(S, b"s"), world.keys.members(S, b"s")
    before = (world.redis.zrange(key, 0, -1, withscores=True), world.redis.hgetall(members))
    rebuilt = rebuild(session, S)
    assert rebuilt is not None and (rebuilt.seasons, rebuilt.players) == (1, len(world.expected("s")))
    assert (world.redis.zrange(key, 0, -1, withscores=True), world.redis.hgetall(members)) == before
    assert equal(world)
    assert world.redis.keys(f"{world.name}:*t[zh]:*") == []


def test_a_rebuild_keeps_hints_for_afterwards(world: World) -> None:
    world.submit(("s", "ada", 5))
    session = world.session()
    rebuild(session, S)
    assert equal(world) and world.counts()["outbox"] == 2
    world.submit(("s", "ada", 1))
    relay_batch(session, S)
    assert equal(world) and world.counts()["outbox"] == 0


def test_a_rebuild_takes_away_seasons_that_are_no_more(world: World, carried: RelaySession) -> None:
    ghost = next(name for n in range(500) if partition_of(name := f"ghost{n}") == S)
    world.redis.hset(world.keys.periods[S], ghost, 1)
    world.redis.zadd(world.keys.board(S, ghost.encode()), {b"x" * 12: 1})
    world.redis.hset(world.keys.members(S, ghost.encode()), "ada", "x")
    rebuild(carried, S)
    assert world.redis.hkeys(world.keys.periods[S]) == [b"s"]
    assert not world.redis.exists(world.keys.board(S, ghost.encode()), world.keys.members(S, ghost.encode()))


def test_what_a_dead_rebuild_left_is_cleared(world: World, carried: RelaySession) -> None:
    loaded = world.keys.loaded_board(S, b"s")
    world.redis.zadd(loaded, {b"y" * 12: 1})
    world.redis.sadd(world.keys.temporary[S], loaded)
    rebuild(carried, S)
    assert equal(world)
    assert not world.redis.exists(loaded, world.keys.temporary[S])


def test_a_rebuild_of_an_emptied_season(world: World, carried: RelaySession) -> None:
    relay_batch(carried, S)
    world.reset("s")
    assert rebuild(carried, S) is not None
    assert world.board("s") == []
    assert int(world.redis.hget(world.keys.periods[S], "s")) == world.value("SELECT period_id FROM season")


def test_a_zombies_rebuild_is_refused(world: World, carried: RelaySession) -> None:
    write_watermark(world, fence=10**12)
    with pytest.raises(Refused) as caught:
        rebuild(carried, S)
    assert caught.value.verdict.word == "ahead"
