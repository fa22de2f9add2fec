"""The event `leader.changed`: each change once, in the order of the season's events, whatever dies meanwhile."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from support.http import Http
from support.periods import GRID, end_now, keeper_of
from support.processes import serving
from support.relays import Hand, S
from support.world import World

from board.partitions import partition_of
from board.pg.schema import migrations

OTHER = next(name for n in range(500) if partition_of(name := f"n{n}") == S)
"""Another season of the same partition."""

Told = tuple[int, str, int, str | None]
"""Period, player, score, the player who led before."""


@pytest.fixture
def hand(world: World) -> Hand:
    return Hand(world)


def told(world: World, season: str = "s") -> list[Told]:
    """The leaders that events have told of a season, in their order."""
    return [
        (period, data["userId"], data["score"], data["previousUserId"])
        for period, data in world.rows(
            "SELECT period, data::json FROM event WHERE season_id = %s AND kind = 'leader.changed' "
            "ORDER BY history, xid, number", season)
    ]  # fmt: skip


def kinds(world: World, season: str = "s") -> list[tuple[str, int]]:
    """All events of a season in the order of readers."""
    return [
        (kind, period)
        for kind, period in world.rows(
            "SELECT kind, period FROM event WHERE season_id = %s ORDER BY history, xid, number", season)
    ]  # fmt: skip


def carry(world: World, hand: Hand, *batch: tuple[str, str, int]) -> None:
    world.submit(*batch)
    hand.serve(S)


def test_each_change_is_one_event(world: World, hand: Hand) -> None:
    carry(world, hand, ("s", "ada", 5))
    carry(world, hand, ("s", "ada", 1), ("s", "bob", 2))
    carry(world, hand, ("s", "bob", 5))
    # Of equal scores the earlier one leads.
    carry(world, hand, ("s", "ada", 1))
    carry(world, hand, ("s", "ada", 1))
    assert told(world) == [(1, "ada", 5, None), (1, "bob", 7, "ada"), (1, "ada", 8, "bob")]


def test_events_over_http(world: World) -> None:
    with serving(world) as api, api.client() as http:
        world.submit(("s", "J\u00f6rg", 2**62))
        Hand(world).serve(S)
        (event,) = listed(http, "?kind=leader.changed")
        assert (event["kind"], event["seasonId"], event["period"]) == ("leader.changed", "s", 1)
        assert event["data"] == {"userId": "J\u00f6rg", "score": 2**62, "previousUserId": None}
        assert listed(http, "?kind=period.ended") == []


def listed(http: Http, query: str) -> Any:
    answer = http.get(f"/v1/events{query}")
    assert answer.status == 200, answer.body
    return answer.json["items"]


def test_the_changes_within_one_batch_are_told_as_one(world: World, hand: Hand) -> None:
    """A board shows no state in between either."""
    carry(world, hand, ("s", "ada", 5))
    world.submit(("s", "bob", 6))
    world.submit(("s", "cy", 7))
    world.submit(("s", "dan", 8))
    carry(world, hand, ("s", "bob", 9))
    assert told(world) == [(1, "ada", 5, None), (1, "bob", 15, "ada")]


@pytest.mark.parametrize("score", [2**63 - 1, 2**53 + 1, 0, -(2**53) - 1, -(2**63)])
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_scores_are_exact_in_both_orders(world: World, hand: Hand, order: str, score: int) -> None:
    world.define("s", operator="best", order=order)
    world.submit_by_rule(("s", "ada", score, True))
    hand.serve(S)
    assert told(world) == [(1, "ada", score, None)]


@pytest.mark.parametrize("point", ["after take", "before apply", "after apply"])
def test_a_relay_that_dies_before_its_commit_loses_no_change(world: World, hand: Hand, point: str) -> None:
    carry(world, hand, ("s", "ada", 5))
    world.submit(("s", "bob", 7))
    hand.crash(S, at=point)
    assert told(world) == [(1, "ada", 5, None)]
    hand.serve(S)
    hand.serve(S)
    assert told(world) == [(1, "ada", 5, None), (1, "bob", 7, "ada")]


def test_a_zombie_tells_nothing(world: World, hand: Hand) -> None:
    """Redis has its batch. Its successor writes the same board, and the event."""
    carry(world, hand, ("s", "ada", 5))
    world.submit(("s", "bob", 7))
    hand.start(lambda: hand.serve(S), "after apply")
    hand.lose_claim()
    Hand(world, seed=1).serve(S)
    hand.go_on()
    hand.drain()
    assert told(world) == [(1, "ada", 5, None), (1, "bob", 7, "ada")]


def test_a_rebuild_tells_no_leader_twice_and_loses_none(world: World, hand: Hand) -> None:
    carry(world, hand, ("s", "ada", 5))
    world.drop_keys()
    hand.drain()
    assert told(world) == [(1, "ada", 5, None)]
    # The hints of a season that is set aside are dropped: only the rebuild can find the change.
    world.execute(f"INSERT INTO ailing (season_id, partition, reason) VALUES ('s', {S}, 'a test')")
    carry(world, hand, ("s", "bob", 7))
    assert world.counts()["outbox"] == 0 and told(world) == [(1, "ada", 5, None)]
    hand.relay.repairs.retry_set_aside(hand.session)
    hand.drain()
    assert told(world) == [(1, "ada", 5, None), (1, "bob", 7, "ada")]


def test_a_leader_who_is_removed_is_followed_by_the_next_one(world: World, hand: Hand) -> None:
    carry(world, hand, ("s", "ada", 5), ("s", "bob", 7))
    world.correct("s", "bob", None)
    hand.serve(S)
    world.correct("s", "ada", None)
    hand.serve(S)
    assert told(world) == [(1, "bob", 7, None), (1, "ada", 5, "bob")]
    # Nobody led meanwhile.
    carry(world, hand, ("s", "ada", 1))
    assert told(world)[2:] == [(1, "ada", 1, None)]


def test_a_new_period_has_a_leader_of_its_own(world: World, hand: Hand) -> None:
    carry(world, hand, ("s", "ada", 5))
    world.reset("s")
    hand.serve(S)
    carry(world, hand, ("s", "ada", 1))
    assert told(world) == [(1, "ada", 5, None), (2, "ada", 1, None)]


def make_due(world: World) -> None:
    """A season whose period's end has come, with a leader that no relay has carried."""
    world.define("s", operator="best", schedule=GRID)
    world.submit_by_rule(("s", "ada", 5, True))
    end_now(world, "s")


def test_a_change_beside_the_end_of_the_period_comes_before_it(world: World, hand: Hand) -> None:
    """The turn begins after the claim, and ends before the commit of the batch that brought the leader."""
    make_due(world)
    hand.start(lambda: hand.serve(S), "after apply")
    assert keeper_of(world).turn_seasons(world.db) == 1
    hand.go_on()
    hand.drain()
    # The period had ended before its leader was known: its standings tell who won.
    assert kinds(world) == [("period.ended", 1)]
    world.submit_by_rule(("s", "bob", 3, True))
    hand.serve(S)
    assert kinds(world) == [("period.ended", 1), ("leader.changed", 2)]


def test_a_leader_of_the_new_period_comes_after_the_end_of_the_old_one(world: World, hand: Hand) -> None:
    """The batch is older than the turn: its transaction has the lower number."""
    make_due(world)
    hand.start(lambda: hand.serve(S), "after claim")
    assert keeper_of(world).turn_seasons(world.db) == 1
    world.submit_by_rule(("s", "bob", 3, True))
    hand.go_on()
    assert kinds(world) == [("period.ended", 1), ("leader.changed", 2)]


def test_an_event_is_shown_after_all_older_ones_only(world: World, hand: Hand) -> None:
    """The place of a change is above its transaction: it must not hide what comes to lower places."""
    with serving(world) as api, api.client() as http, psycopg.connect(world.settings.database_url) as older:
        older.execute("SELECT pg_current_xact_id()")
        carry(world, hand, ("s", "ada", 5))
        assert told(world) == [(1, "ada", 5, None)] and listed(http, "") == []
        older.commit()
        assert len(listed(http, "")) == 1


def test_a_board_that_was_altered_by_hand_makes_no_leader(world: World, hand: Hand) -> None:
    carry(world, hand, ("s", "ada", 5))
    for member in (b"x", b"\0" * 10 + b"nobody", b"\xff" * 10 + b"ada", b"\0" * 10 + b"\xff"):
        world.redis.zadd(world.keys.board(S, b"s"), {member: -(2**52)})
        carry(world, hand, ("s", "ada", 1))
        world.redis.zrem(world.keys.board(S, b"s"), member)
    assert told(world) == [(1, "ada", 5, None)]
    carry(world, hand, ("s", "bob", 100))
    assert told(world)[1:] == [(1, "bob", 100, "ada")]


def test_a_refused_season_takes_no_leader_from_its_neighbour(world: World, hand: Hand) -> None:
    carry(world, hand, ("s", "ada", 5), (OTHER, "ada", 5))
    first, second = sorted(["s", OTHER])
    world.redis.delete(world.keys.board(S, first.encode()))
    world.redis.set(world.keys.board(S, first.encode()), "nonsense")
    carry(world, hand, (first, "cy", 9), (second, "bob", 7))
    assert world.value("SELECT season_id FROM ailing") == first
    assert told(world, second) == [(1, "ada", 5, None), (1, "bob", 7, "ada")]
    assert told(world, first) == [(1, "ada", 5, None)]
    assert world.value("SELECT user_id FROM leader WHERE season_id = %s", first) == "ada"


def test_leaders_from_before_the_migration_are_no_change(world: World, hand: Hand) -> None:
    carry(world, hand, ("s", "ada", 5))
    (text,) = [m.text for m in migrations() if m.version == 14]
    world.execute("DROP TABLE leader", "TRUNCATE event", text)
    carry(world, hand, ("s", "ada", 1))
    assert told(world) == []
    carry(world, hand, ("s", "bob", 9))
    assert told(world) == [(1, "bob", 9, "ada")]
