"""Repair of single seasons: what Redis refuses is set aside and comes back, what was altered by hand is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.marks import thinned
from support.processes import relaying
from support.relays import Hand, S, equal
from support.waiting import eventually
from support.world import World

from board.partitions import partition_of
from ctl.comparison.report import compare

NEIGHBOUR = next(name for n in range(500) if partition_of(name := f"n{n}") == S)
"""Another season of the same partition."""


@pytest.fixture
def hand(world: World) -> Hand:
    """A relay in the test's hand, and two settled seasons of one partition."""
    world.submit(*(("s", f"p{n}", n + 1) for n in range(30)), (NEIGHBOUR, "ada", 1))
    made = Hand(world)
    made.drain()
    assert equal(world, "s", NEIGHBOUR)
    return made


def spoil(world: World, key: bytes) -> None:
    """Put a key of another type in the place."""
    world.redis.delete(key)
    world.redis.set(key, "nonsense")


@pytest.mark.parametrize("half", ["board", "members"])
def test_a_refused_season_is_set_aside_and_holds_up_no_other(world: World, hand: Hand, half: str) -> None:
    spoil(world, getattr(world.keys, half)(S, b"s"))
    world.submit(("s", "p1", 100), (NEIGHBOUR, "ada", 1))
    hand.serve(S)
    assert equal(world, NEIGHBOUR)
    assert world.rows("SELECT season_id, partition, tries FROM ailing") == [("s", S, 1)]
    assert world.counts()["outbox"] == 0, "its hints do not pile up"
    # More of it goes nowhere for now, and its neighbour still goes on.
    world.submit(("s", "p2", 100), (NEIGHBOUR, "ada", 1))
    hand.serve(S)
    assert equal(world, NEIGHBOUR) and world.counts()["outbox"] == 0
    assert world.value("SELECT tries FROM ailing") == 1, "Redis was not asked again"
    # When its time has come it is loaded whole.
    world.execute("UPDATE ailing SET retry_at = now()")
    hand.relay.repairs.retry_set_aside(hand.session)
    assert equal(world, "s", NEIGHBOUR)
    assert world.rows("SELECT season_id FROM ailing") == []
    world.submit(("s", "p3", 1))
    hand.serve(S)
    assert equal(world, "s") and compare(world.settings, wait_s=0).equal


def test_a_batch_of_refused_seasons_only_costs_its_neighbours_nothing(world: World, hand: Hand) -> None:
    spoil(world, world.keys.board(S, b"s"))
    world.submit(("s", "p1", 100))
    hand.serve(S)
    assert world.rows("SELECT season_id FROM ailing") == [("s",)]
    assert world.fence("s") == world.value("SELECT fence FROM partition WHERE id = %s", S)
    world.submit((NEIGHBOUR, "ada", 1))
    hand.serve(S)
    assert equal(world, NEIGHBOUR)
    assert world.value("SELECT rebuilt_at FROM partition WHERE id = %s", S) is None, "nothing was lost"
    assert world.rows("SELECT season_id FROM ailing") == [("s",)]


def test_a_season_that_stays_refused_waits_longer_each_time(world: World, hand: Hand) -> None:
    spoil(world, world.keys.board(S, b"s"))
    waits = []
    for _ in range(5):
        hand.session.execute("set_aside", season="s", partition=S, reason="still")
        waits.append(world.value("SELECT round(extract(epoch FROM retry_at - now()))::int FROM ailing"))
    assert waits[-1] > waits[1] and waits == sorted(waits)
    assert world.value("SELECT tries FROM ailing") == 5


@pytest.mark.parametrize("tries", [10, 100_000])
def test_a_season_that_is_refused_for_long_is_tried_every_five_minutes(world: World, hand: Hand, tries: int) -> None:
    hand.session.execute("set_aside", season="s", partition=S, reason="still")
    world.rows("UPDATE ailing SET tries = %s RETURNING 1", tries)
    hand.session.execute("set_aside", season="s", partition=S, reason="still")
    assert world.value("SELECT extract(epoch FROM retry_at - now())::int BETWEEN 298 AND 300 FROM ailing")


def test_a_reset_of_a_season_that_is_set_aside(world: World, hand: Hand) -> None:
    spoil(world, world.keys.board(S, b"s"))
    world.submit(("s", "p1", 100))
    hand.serve(S)
    world.reset("s")
    world.submit(("s", "new", 1))
    world.execute("UPDATE ailing SET retry_at = now()")
    hand.relay.repairs.retry_set_aside(hand.session)
    hand.drain()
    assert [(u, s) for u, s, _ in world.board("s")] == [("new", 1)]
    assert equal(world, "s")


def test_the_pool_brings_it_back_by_itself(world: World) -> None:
    world.submit(("s", "ada", 1), (NEIGHBOUR, "ada", 1))
    with relaying(world, 2) as relay:
        relay.until(lambda: world.board("s") and world.board(NEIGHBOUR))
        spoil(world, world.keys.board(S, b"s"))
        world.submit(("s", "ada", 1), (NEIGHBOUR, "ada", 1))
        relay.until(lambda: equal(world, NEIGHBOUR))
        relay.until(lambda: equal_or_refused(world))
        relay.until(lambda: world.rows("SELECT season_id FROM ailing") == [])
        assert compare(world.settings, wait_s=10).equal


def equal_or_refused(world: World) -> bool:
    """Whether the season is right again; while its key is of another type it cannot even be read."""
    return bool(world.redis.type(world.keys.board(S, b"s")) == b"zset") and equal(world, "s")


ALTERED: dict[str, Callable[[World], Any]] = {
    "board deleted": lambda w: w.redis.delete(w.keys.board(S, b"s")),
    "members deleted": lambda w: w.redis.delete(w.keys.members(S, b"s")),
    "both deleted": lambda w: w.redis.delete(w.keys.board(S, b"s"), w.keys.members(S, b"s")),
    "entry removed": lambda w: w.redis.zremrangebyrank(w.keys.board(S, b"s"), 3, 3),
    "prefix removed": lambda w: w.redis.hdel(w.keys.members(S, b"s"), "p4"),
    "player removed": lambda w: (
        w.redis.zrem(w.keys.board(S, b"s"), w.redis.hget(w.keys.members(S, b"s"), "p4") + b"p4"),
        w.redis.hdel(w.keys.members(S, b"s"), "p4"),
    ),
    "player removed, and the number noted": lambda w: (
        ALTERED["player removed"](w),
        w.redis.hset(w.keys.watermark[S], "n:s", b"29:%b:1.a" % w.redis.hget(w.keys.periods[S], "s")),
    ),
    "another period": lambda w: w.redis.hset(w.keys.periods[S], "s", 10**6),
    "no period": lambda w: w.redis.hdel(w.keys.periods[S], "s"),
    "board of another kind": lambda w: spoil(w, w.keys.board(S, b"s")),
    "members of another kind": lambda w: spoil(w, w.keys.members(S, b"s")),
    "score altered": lambda w: w.redis.zincrby(
        w.keys.board(S, b"s"), -100, w.redis.hget(w.keys.members(S, b"s"), "p4") + b"p4"
    ),
    "prefix altered": lambda w: w.redis.hset(w.keys.members(S, b"s"), "p4", b"\0" * 10),
    "one player in another's place": lambda w: (
        w.redis.zrem(w.keys.board(S, b"s"), w.redis.hget(w.keys.members(S, b"s"), "p4") + b"p4"),
        w.redis.hdel(w.keys.members(S, b"s"), "p4"),
        w.redis.zadd(w.keys.board(S, b"s"), {b"\0" * 10 + b"ghost": -5}),
        w.redis.hset(w.keys.members(S, b"s"), "ghost", b"\0" * 10),
    ),
}


@pytest.mark.parametrize("what", thinned(ALTERED, 4))
def test_the_sampler_finds(world: World, hand: Hand, what: str) -> None:
    ALTERED[what](world)
    assert not compare(world.settings, wait_s=0).equal

    def sampled() -> bool:
        # Players are drawn: four of thirty at a look, in one of two seasons. A comparison takes far longer than a look.
        for _ in range(20):
            hand.relay.repairs.sample(hand.session)
        return compare(world.settings, wait_s=0).equal

    eventually(sampled)


def test_the_sampler_leaves_a_sound_board_alone(world: World, hand: Hand) -> None:
    held = world.redis.hgetall(world.keys.watermark[S])
    for _ in range(10):
        hand.relay.repairs.sample(hand.session)
    assert world.redis.hgetall(world.keys.watermark[S]) == held


def test_the_sampler_waits_for_what_is_on_its_way(world: World, hand: Hand) -> None:
    world.submit(("s", "p1", 5), ("s", "new", 7))
    world.correct("s", "p2", None)
    world.reset(NEIGHBOUR)
    held = world.redis.hgetall(world.keys.watermark[S])
    for _ in range(10):
        hand.relay.repairs.sample(hand.session)
    assert world.redis.hgetall(world.keys.watermark[S]) == held, "hints wait: that is no difference"
    hand.serve(S)
    assert equal(world, "s", NEIGHBOUR)


def test_many_seasons_are_all_looked_at(world: World) -> None:
    names = [f"many {n}" for n in range(80)]
    world.submit(*((name, "ada", n + 1) for n, name in enumerate(names)))
    hand = Hand(world)
    hand.drain()
    for _ in range(2):  # and then again from the first
        for name in (names[0], names[41], names[79]):
            world.redis.delete(world.keys.board(partition_of(name), name.encode()))
        for _ in range(4):
            hand.relay.repairs.sample(hand.session)
        assert equal(world, *names)


def test_the_pool_samples(world: World) -> None:
    world.submit(("s", "ada", 1))
    with relaying(world, 1, LEADERBOARD_RELAY_SAMPLE_MS="100") as relay:
        relay.until(lambda: world.board("s"))
        world.redis.delete(world.keys.board(S, b"s"), world.keys.members(S, b"s"))
        relay.until(lambda: world.board("s") and equal(world, "s"))
