"""Segments on their way to Redis: with the rows of their season, under the same fence, and rebuilt with it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.marks import thinned, walks
from support.relays import POINTS, Hand, S, Unsignalled, equal
from support.segments import are_filtered, filtered, held
from support.world import World

from board.partitions import partition_of
from board.redis.poke import Suspicion
from ctl.comparison.report import compare
from relay.janitor import Janitor
from relay.rebuild import PROFILES, rebuild
from relay.segments import hint_segments

pytestmark = pytest.mark.topology

PLAYERS = [f"p{n}" for n in range(12)]
"""Players of several partitions."""
VALUES = ("KR", "GB", 'e\u0301t\u00e9 "\\', "b")


def settle(hand: Hand) -> None:
    """Do the work of relays until nothing is left, seasons that are set aside included."""
    hand.relay.repairs.retry_set_aside(hand.session)
    hand.drain()
    assert not hand.world.value("SELECT count(*) FROM ailing")


@pytest.fixture
def hand(world: World) -> Hand:
    """A season with two segments, players in most of them, and a relay in the test's hand."""
    world.define("s", segments=["country", "platform"])
    for at, user in enumerate(PLAYERS):
        world.submit(("s", user, 100 - at // 2))
        if at:
            world.name_player(user, f"Name {at}", country=VALUES[at % 4], **({"platform": "pc"} if at % 3 else {}))
    made = Hand(world)
    settle(made)
    assert is_well(world) and len(filtered(world, "s")) == 5
    return made


def is_well(world: World) -> bool:
    return equal(world) and are_filtered(world, "s") and compare(world.settings, wait_s=0).equal


def test_each_change_of_a_player_moves_it_at_once(world: World, hand: Hand) -> None:
    world.submit(("s", "p1", 7))
    world.name_player("p1", "Name", country="KR")
    world.name_player("p0", "First", country="new", platform="pc")
    world.name_player("p2", None)
    world.name_player("p3", "No attributes")
    world.correct("s", "p4", 3)
    world.correct("s", "p5", None)
    world.name_player("stranger", "Not on the board", country="KR")
    hand.drain()
    assert is_well(world)
    assert [user for user, _, _ in held(world, "s")["country:new"]] == ["p0"]
    assert "p5" not in {user for rows in held(world, "s").values() for user, _, _ in rows}


def test_only_a_change_of_attributes_touches_a_board_of_segments(world: World, hand: Hand) -> None:
    """A name is joined at the read: the state of the board keeps its name, and no row is carried."""

    def state() -> list[bytes]:
        hand.drain()
        assert is_well(world)
        return list(world.redis.hmget(world.keys.watermark[S], "n:s", "s:s"))

    before = state()
    world.name_player("p1", "Another name", country=VALUES[1], platform="pc")
    world.name_player("p0", "A first profile")
    assert state() == before
    world.name_player("p0", None)
    assert state() == before
    for change in (
        lambda: world.name_player("p0", "With attributes at once", country="KR"),
        lambda: world.name_player("p1", "Another name", country="other", platform="pc"),
        lambda: world.name_player("p1", "Another name"),
        lambda: world.name_player("p2", None),
    ):
        change()
        assert state()[0] != before[0]
        before = state()


def test_a_value_without_players_leaves_no_key(world: World, hand: Hand) -> None:
    world.name_player("p1", "Name", country="once")
    hand.drain()
    assert "country:once" in held(world, "s")
    world.name_player("p1", "Name", country="twice")
    hand.drain()
    assert is_well(world) and "country:once" not in held(world, "s")


@pytest.mark.parametrize(("at", "where"), thinned(itertools.product(POINTS[:4], ["the player's", "the season's"]), 3))
def test_a_crash_loses_no_move(world: World, hand: Hand, at: str, where: str) -> None:
    world.name_player("p1", "Name", country="KR")
    world.submit(("s", "p1", 1), ("s", "p2", 1))
    if where == "the season's":
        hand.serve(partition_of("p1"))
    hand.crash(partition_of("p1") if where == "the player's" else S, at=at)
    hand.drain()
    assert is_well(world)


def test_a_fenced_relay_moves_no_player_back(world: World, hand: Hand) -> None:
    world.name_player("p1", "Name", country="older")
    hand.serve(partition_of("p1"))
    hand.start(lambda: hand.serve(S), "before apply")
    hand.lose_claim()
    world.name_player("p1", "Name", country="newer")
    other = Hand(world)
    other.drain()
    assert is_well(world)
    hand.go_on()
    other.drain()
    assert is_well(world) and "country:older" not in held(world, "s")


def test_a_row_that_commits_beside_a_change_of_the_profile_gets_the_new_value(world: World, hand: Hand) -> None:
    with world.session().db.transaction():
        pass
    other = world.session().db
    with other.transaction():
        # The submission is under way: no statement of the relay sees the row.
        world.submit(("s", "late", 5), db=other)
        world.name_player("late", "Late", country="KR")
        hand.drain()
        assert not hint_segments(hand.session, "late")
    hand.drain()
    assert is_well(world) and "late" in [user for user, _, _ in held(world, "s")["country:KR"]]


@pytest.mark.parametrize("lost", ["the segments", *walks("all", "the partition", "the watermark")])
def test_what_redis_has_lost_is_rebuilt(world: World, hand: Hand, lost: str) -> None:
    keys = world.keys
    if lost == "all":
        world.flush()
    elif lost == "the partition":
        world.redis.delete(*world.redis.keys(keys.tag[S] + b"*"))
    elif lost == "the watermark":
        world.redis.zadd(keys.segment(S, b"s", b"country:KR"), {"ghost": 1})
        world.redis.delete(keys.watermark[S])
    else:
        world.redis.delete(keys.segment(S, b"s", b"country:KR"), keys.segments(S, b"s"))
        assert not compare(world.settings, wait_s=0).equal
        hand.relay.repairs.examine(hand.session, Suspicion("s"))
    hand.drain()
    assert is_well(world)


@pytest.mark.parametrize("at", POINTS[4:])
@pytest.mark.parametrize("only", [None, *walks("s")])
def test_a_rebuild_that_dies_is_begun_again(world: World, hand: Hand, at: str, only: str | None) -> None:
    world.submit(("s", "p1", 1))
    hand.crash(S, at=at, work=lambda partition: hand.careful(lambda: rebuild(hand.session, partition, only=only)))
    assert rebuild(hand.session, S, only=only) is not None
    hand.drain()
    assert is_well(world) and not world.redis.exists(world.keys.temporary[S])


def test_a_reset_empties_the_segments(world: World, hand: Hand) -> None:
    world.reset("s")
    world.submit(("s", "p1", 4))
    hand.drain()
    assert is_well(world) and {*held(world, "s")} == {"country:GB", "platform:pc"}
    world.reset("s")
    hand.drain()
    assert is_well(world) and not held(world, "s")


@pytest.mark.parametrize("segments", [["platform", "country"], *walks(["country"], ["avatar"], [])])
def test_other_segments_are_loaded_and_the_old_ones_go(world: World, hand: Hand, segments: list[str]) -> None:
    world.define("s", segments=segments)
    world.submit(("s", "p1", 1))
    # Until then the board stays as it is.
    hand.drain()
    assert len(world.board("s")) == len(PLAYERS)
    if len(segments) == 1:
        # The worker that changed it has told so.
        hand.relay.repairs.examine(hand.session, Suspicion("s"))
    settle(hand)
    assert is_well(world)
    assert {key.partition(":")[0] for key in held(world, "s")} == {*segments} - {"avatar"}
    if not segments:
        names = [world.keys.numbers(S, b"s"), world.keys.segments(S, b"s")]
        assert not world.redis.exists(*names) and not world.redis.hexists(world.keys.watermark[S], "s:s")


def test_a_season_without_segments_is_written_as_before(
    world: World, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int, list[bytes], Any]] = []
    run = hand.session.redis.run

    def note(script: Any, keys: list[bytes], args: list[bytes], groups: Any = ()) -> Any:
        sent.append((script.name, len(keys), args, groups))
        return run(script, keys, args, groups)

    world.submit(("t", "p1", 1))
    fetched: list[str] = []
    fetch = hand.session.fetch
    monkeypatch.setattr(hand.session.redis, "run", note)
    monkeypatch.setattr(hand.session, "fetch", lambda name, **more: fetched.append(name) or fetch(name, **more))
    hand.serve(partition_of("t"))
    ((script, keys, args, ((labels, *_),)),) = [one for one in sent if one[0] == "apply"]
    assert (script, keys, args[6:], labels[2]) == ("apply", 4, [b"0"], b"")
    assert "segment_players" not in fetched and "hint_segments" not in fetched


def test_what_a_release_without_segments_has_written_is_found(world: World, hand: Hand) -> None:
    # Its batch leaves the note of the segments as it is, and all keys of them.
    note = world.redis.hget(world.keys.watermark[S], "s:s")
    world.submit(("s", "p1", 1))
    hand.drain()
    world.redis.hset(world.keys.watermark[S], "s:s", note)
    assert not compare(world.settings, wait_s=0).equal
    # Nor does the next batch of this release claim that they are complete.
    world.submit(("s", "p1", 1))
    hand.drain()
    assert world.redis.hget(world.keys.watermark[S], "s:s") == note
    hand.relay.repairs.sample(hand.session)
    hand.drain()
    assert is_well(world)


def test_changes_that_a_release_without_profiles_has_dropped_are_found(world: World, hand: Hand) -> None:
    partition = partition_of("p1")
    world.name_player("p1", "Name", country="KR")
    world.execute("DELETE FROM outbox WHERE period_id <= 0")
    world.redis.hset(world.keys.watermark[partition], "profiled", 1)
    hand.relay.repairs.rebuild_season(hand.session, partition, PROFILES)
    settle(hand)
    assert is_well(world) and "p1" in [user for user, _, _ in held(world, "s")["country:KR"]]


@pytest.mark.parametrize("altered", ["a ghost", *walks("a number", "a player's names", "another zscore")])
def test_what_was_altered_by_hand_is_found(world: World, hand: Hand, altered: str) -> None:
    keys = world.keys
    board = keys.segment(S, b"s", b"country:GB")
    if altered == "a ghost":
        world.redis.zadd(board, {b"\0" * 10 + b"ghost": 1})
    elif altered == "a number":
        world.redis.hincrby(keys.numbers(S, b"s"), "country:GB", 1)
    elif altered == "a player's names":
        world.redis.hset(keys.segments(S, b"s"), "p1", "country:KR")
    else:
        world.redis.zincrby(board, 1, world.redis.zrange(board, 0, 0)[0])
    assert not compare(world.settings, wait_s=0).equal
    for _ in range(40):
        hand.relay.repairs.sample(hand.session)
        if are_filtered(world, "s"):
            break
    assert is_well(world)


def test_values_beyond_the_bound_have_no_board(world: World, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.segments.VALUES_MOST", 5)
    known = {key for key in held(world, "s") if key.startswith("country:")}
    for user, value in (("p0", "fifth"), ("p4", "sixth"), ("p1", "KR")):
        world.name_player(user, "Name", country=value)
        hand.drain()
    boards = held(world, "s")
    assert {key for key in boards if key.startswith("country:")} == known | {"country:fifth"}
    assert "p4" not in {user for key, rows in boards.items() if key.startswith("country:") for user, _, _ in rows}
    assert world.rows("SELECT attribute FROM segment_value WHERE value = ''") == [("country",)]
    assert compare(world.settings, wait_s=0).equal
    assert world.redis.hget(world.keys.watermark[S], "s:s").endswith(b":country!,platform")
    # A value that is given up leaves its place to no other one for now.
    world.name_player("p0", "Name", country="seventh")
    hand.drain()
    assert "country:seventh" not in held(world, "s") and compare(world.settings, wait_s=0).equal
    # An hour later the values with the most players have the boards, whoever came first.
    for user in PLAYERS[5:]:
        world.name_player(user, "Name", country="crowd")
    hand.drain()
    assert "country:crowd" not in held(world, "s")
    hand.relay.repairs.sample(hand.session)
    assert "country:crowd" not in held(world, "s")
    world.execute("UPDATE segment_value SET added_at = now() - interval '61 minutes'")
    hand.relay.repairs.sample(hand.session)
    hand.drain()
    assert len(held(world, "s")["country:crowd"]) == 7 and compare(world.settings, wait_s=0).equal


def test_values_of_periods_that_no_season_shows_are_forgotten(world: World, hand: Hand) -> None:
    old = world.rows("SELECT period_id, count(*) FROM segment_value GROUP BY 1")
    world.reset("s")
    world.submit(("s", "p1", 1))
    hand.drain()
    Janitor(world.settings, Unsignalled()).collect(world.db)
    ((period, count),) = world.rows("SELECT period_id, count(*) FROM segment_value GROUP BY 1")
    assert count == 2 and period not in {one for one, _ in old} and is_well(world)
