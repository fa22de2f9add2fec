"""Profiles on their way to Redis: under the same fence as boards, rebuilt with them, and found when they differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.marks import thinned
from support.relays import POINTS, Hand, S
from support.world import World

from board.partitions import PARTITIONS, partition_of
from board.redis.poke import Suspicion
from ctl.comparison.report import compare
from relay.rebuild import rebuild

PLAYERS = [name for n in range(5_000) if partition_of(name := f"p{n}") == S][:30]
"""Players of the partition of the season "s"."""


@pytest.fixture
def hand(world: World) -> Hand:
    """A relay in the test's hand, a board, and settled profiles."""
    for at, user in enumerate(PLAYERS):
        world.name_player(user, f"Name {at}", country="KR")
    world.submit(("s", PLAYERS[0], 1))
    made = Hand(world)
    made.drain()
    assert equal(world)
    return made


def equal(world: World) -> bool:
    return len(world.expected_profiles(S)) > 0 and world.profiles(S) == world.expected_profiles(S)


def noted(world: World) -> int:
    """The number of profiles that Redis notes."""
    return int(world.redis.hget(world.keys.watermark[S], "profiles").partition(b":")[0])


def test_profiles_are_carried_with_the_hints_of_their_partition(world: World, hand: Hand) -> None:
    assert noted(world) == 30
    world.name_player(PLAYERS[0], "Ada")
    world.name_player(PLAYERS[0], 'Ada \u00e9 \\ "L"', platform="pc")
    world.name_player(PLAYERS[1], None)
    world.name_player(PLAYERS[2], None)
    world.name_player(PLAYERS[2], "Back")
    world.submit(("s", PLAYERS[1], 1))
    hand.serve(S)
    assert equal(world) and noted(world) == 29
    assert world.profiles(S)[PLAYERS[0]] == 'Ada \u00e9 \\ "L"\n{"platform":"pc"}'
    assert world.board("s") == world.expected("s")
    assert world.counts()["outbox"] == 0 and compare(world.settings, wait_s=0).equal


def test_many_profiles_are_one_batch(world: World) -> None:
    users = [name for n in range(200_000) if partition_of(name := f"m{n}") == S][:2_500]
    with world.db.transaction():
        for user in users:
            world.name_player(user, user)
    Hand(world, limit=5_000).serve(S)
    assert equal(world) and noted(world) == 2_500


def test_a_board_of_another_partition_is_left_alone(world: World, hand: Hand) -> None:
    mark = world.redis.hget(world.keys.watermark[S], "n:s")
    world.name_player(PLAYERS[0], "Ada")
    hand.serve(S)
    assert world.redis.hget(world.keys.watermark[S], "n:s") == mark


@pytest.mark.parametrize("at", POINTS[:4])
def test_a_crash_loses_no_rename(world: World, hand: Hand, at: str) -> None:
    world.name_player(PLAYERS[0], "Ada")
    world.name_player(PLAYERS[1], None)
    hand.crash(S, at=at)
    hand.drain()
    assert equal(world) and noted(world) == 29


def test_a_fenced_relay_brings_no_older_name(world: World, hand: Hand) -> None:
    world.name_player(PLAYERS[0], "older")
    hand.start(lambda: hand.serve(S), "before apply")
    hand.lose_claim()
    world.name_player(PLAYERS[0], "newer")
    other = Hand(world)
    other.serve(S)
    assert world.profiles(S)[PLAYERS[0]].startswith("newer")
    hand.go_on()
    assert world.profiles(S)[PLAYERS[0]].startswith("newer")


@pytest.mark.parametrize("lost", ["all", "the partition", "the watermark"])
def test_what_redis_has_lost_is_rebuilt_with_the_boards(world: World, hand: Hand, lost: str) -> None:
    keys = world.keys
    if lost == "all":
        world.redis.flushdb()
    elif lost == "the partition":
        world.redis.delete(*world.redis.keys(keys.tag[S] + b"*"))
    else:
        world.redis.hset(keys.profiles[S], "ghost", "Ghost\n{}")
        world.redis.delete(keys.watermark[S])
    hand.drain()
    assert equal(world) and noted(world) == 30 and compare(world.settings, wait_s=0).equal


def test_a_rebuild_of_one_season_leaves_profiles_as_they_are(world: World, hand: Hand) -> None:
    before = world.redis.hgetall(world.keys.watermark[S])[b"profiles"]
    assert rebuild(hand.session, S, only="s") is not None
    held = world.redis.hgetall(world.keys.watermark[S])
    assert equal(world) and held[b"profiles"] == before and held[b"profiled"] == held[b"fence"]


@pytest.mark.parametrize("at", POINTS[4:])
def test_a_rebuild_that_dies_is_begun_again(world: World, hand: Hand, at: str) -> None:
    world.redis.flushdb()
    hand.crash(S, at=at)
    hand.drain()
    assert equal(world)
    assert world.redis.keys(world.keys.tag[S] + b"t*") == []


def test_a_leftover_of_another_database_is_no_profile(world: World) -> None:
    world.redis.hset(world.keys.profiles[S], "ghost", "Ghost\n{}")
    world.name_player(PLAYERS[0], "Ada")
    Hand(world).serve(S)
    assert equal(world) and noted(world) == 1


def spoil(world: World) -> None:
    """Put a key of another type in the place."""
    world.redis.delete(world.keys.profiles[S])
    world.redis.set(world.keys.profiles[S], "nonsense")


ALTERED: dict[str, Callable[[World], Any]] = {
    "deleted": lambda w: w.redis.delete(w.keys.profiles[S]),
    "one removed": lambda w: w.redis.hdel(w.keys.profiles[S], PLAYERS[3]),
    "one more": lambda w: w.redis.hset(w.keys.profiles[S], "ghost", "Ghost\n{}"),
    "one altered": lambda w: w.redis.hset(w.keys.profiles[S], PLAYERS[3], "Eve\n{}"),
    "one in another's place": lambda w: (
        w.redis.hdel(w.keys.profiles[S], PLAYERS[3]),
        w.redis.hset(w.keys.profiles[S], "ghost", "Ghost\n{}"),
    ),
    "another number noted": lambda w: w.redis.hset(w.keys.watermark[S], "profiles", "31:1.a"),
    "of another kind": spoil,
}


@pytest.mark.parametrize("what", thinned(ALTERED, 3))
def test_the_sampler_finds(world: World, hand: Hand, what: str) -> None:
    ALTERED[what](world)
    assert not compare(world.settings, wait_s=0).equal
    # Players are drawn: four of thirty at a look.
    for _ in range(200):
        hand.relay.repairs.profile_sampler.next = S
        hand.relay.repairs.sample(hand.session)
        if world.redis.type(world.keys.profiles[S]) == b"hash" and equal(world) and noted(world) == 30:
            break
    assert equal(world) and noted(world) == 30 and compare(world.settings, wait_s=0).equal


def test_a_reader_that_finds_them_altered_has_them_loaded(world: World, hand: Hand) -> None:
    world.redis.hdel(world.keys.profiles[S], PLAYERS[3])
    hand.relay.repairs.examine(hand.session, Suspicion("", str(S)))
    assert equal(world)
    held = world.redis.hgetall(world.keys.watermark[S])
    for partition in (str(S), "64", "-1", "x", ""):
        hand.relay.repairs.examine(hand.session, Suspicion("", partition))
    assert world.redis.hgetall(world.keys.watermark[S]) == held, "nothing to be done"


def test_a_change_finds_a_key_of_another_kind(world: World, hand: Hand) -> None:
    spoil(world)
    world.name_player(PLAYERS[0], "Ada")
    world.submit(("s", PLAYERS[0], 1))
    hand.serve(S)
    assert world.board("s") == world.expected("s"), "no board waits for it"
    hand.relay.repairs.sample(hand.session)
    assert equal(world)


def test_the_sampler_leaves_sound_profiles_alone_and_waits_for_hints(world: World, hand: Hand) -> None:
    held = world.redis.hgetall(world.keys.watermark[S])
    world.name_player(PLAYERS[0], "Ada")
    world.name_player(PLAYERS[1], None)
    for _ in range(PARTITIONS):
        hand.relay.repairs.profile_sampler.next = S
        hand.relay.repairs.sample(hand.session)
    assert world.redis.hgetall(world.keys.watermark[S]) == held
    report = compare(world.settings, wait_s=0)
    assert (report.equal, report.unsettled, report.differences_found) == (False, 2, 0)
    hand.serve(S)
    assert equal(world) and compare(world.settings, wait_s=0).equal


def test_what_an_older_release_drops_is_loaded(world: World, hand: Hand) -> None:
    """A relay that does not know profiles takes their hints away, and goes on with the fence."""
    world.name_player(PLAYERS[0], "Ada")
    world.execute("DELETE FROM outbox")
    fence = world.value("SELECT nextval('fence')")
    world.execute(f"UPDATE partition SET fence = {fence} WHERE id = {S}")
    world.redis.hset(world.keys.watermark[S], mapping={"fence": fence, "counted": fence})
    assert not equal(world)
    # A batch of this release does not hide the gap.
    world.name_player(PLAYERS[1], "Bob")
    hand.serve(S)
    assert not equal(world)
    hand.relay.repairs.sample(hand.session)
    assert equal(world)
    held = world.redis.hgetall(world.keys.watermark[S])
    assert held[b"profiled"] == held[b"fence"]
