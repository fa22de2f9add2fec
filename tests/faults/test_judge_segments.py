"""The judge of segments: a true history passes, and every kind of breach is found in one that is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.world import World

from board.partitions import partition_of
from faults.tape import Case

S = partition_of("s")


def move(case: Case, op: int, user: str, kind: str = "ok", **attributes: str) -> None:
    """A change of a player's attributes, with its answer."""
    case.tape.note("invoke", "move", op, user=user, attributes=attributes)
    case.world.name_player(user, None)
    case.world.name_player(user, "", **attributes)
    case.hand.drain()
    case.tape.note(kind, "move", op, user=user, attributes=attributes)


@pytest.fixture
def case(world: World) -> Case:
    """Two players, of whom one has moved, and a read of each segment."""
    world.define("s", segments=["country", "platform"])
    case = Case(world)
    case.hand.relay.repairs.retry_set_aside(case.hand.session)
    case.hand.drain()
    case.tape.note("ok", "define", 0, operator="sum", order="desc", segments=["country", "platform"])
    move(case, 31, "ada", country="GB")
    move(case, 32, "ada", country="KR", platform="pc")
    move(case, 33, "bob", country="KR")
    case.tape.read("segment", 34, segment="country:KR", users=["ada", "bob"], scores=[24, 12], ranks=[1, 2])
    case.tape.read("segment", 35, segment="country:GB", users=["ada"], scores=[24], ranks=[1])
    return case


def test_a_true_history_passes(case: Case) -> None:
    assert case.judged() == {}


def lose_a_move(case: Case) -> None:
    move(case, 41, "bob", country="KR")
    case.world.name_player("bob", "", country="GB")
    case.hand.drain()


def go_back_to_an_earlier_move(case: Case) -> None:
    case.world.name_player("ada", "", country="GB")
    case.hand.drain()


def miss_a_member(case: Case) -> None:
    board = case.world.keys.segment(S, b"s", b"country:KR")
    case.world.redis.zrem(board, case.world.redis.zrange(board, 0, 0)[0])


def leave_a_member(case: Case) -> None:
    entries = case.world.redis.zrange(case.world.keys.board(S, b"s"), 0, 0, withscores=True)
    case.world.redis.zadd(case.world.keys.segment(S, b"s", b"country:GB"), dict(entries))


def alter_a_score(case: Case) -> None:
    board = case.world.keys.segment(S, b"s", b"platform:pc")
    case.world.redis.zincrby(board, 1, case.world.redis.zrange(board, 0, 0)[0])


def alter_a_number(case: Case) -> None:
    case.world.redis.hincrby(case.world.keys.numbers(S, b"s"), "country:KR", 1)


def alter_the_names(case: Case) -> None:
    case.world.redis.hset(case.world.keys.segments(S, b"s"), "bob", "country:GB")


def show_a_stranger(case: Case) -> None:
    case.tape.read("segment", 42, segment="country:GB", users=["bob"], scores=[12], ranks=[1])


def show_a_player_before_the_move(case: Case) -> None:
    case.tape.read("segment", 42, segment="country:FR", users=["bob"], scores=[12], ranks=[1])
    move(case, 43, "bob", country="FR")


def show_ranks_of_the_season(case: Case) -> None:
    case.tape.read("segment", 42, segment="country:KR", users=["bob"], scores=[12], ranks=[2])


@pytest.mark.parametrize(
    ("breach", "name"),
    [
        (lose_a_move, "I1"),
        (go_back_to_an_earlier_move, "I1"),
        (miss_a_member, "I3"),
        (leave_a_member, "I3"),
        (alter_a_score, "I3"),
        (alter_a_number, "I3"),
        (alter_the_names, "I3"),
        (show_a_stranger, "I8"),
        (show_a_player_before_the_move, "I8"),
        (show_ranks_of_the_season, "I8"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_breach_is_found(case: Case, breach: Callable[[Case], None], name: str) -> None:
    breach(case)
    assert set(case.judged()) == {name}


def test_a_move_without_an_answer_may_stand_or_not(case: Case) -> None:
    move(case, 51, "bob", "unknown", country="GB")
    assert case.judged() == {}
    case.world.name_player("bob", "", country="KR")
    case.hand.drain()
    assert case.judged() == {}


def test_a_refused_move_does_not_stand(case: Case) -> None:
    move(case, 51, "bob", "fail", country="GB")
    assert set(case.judged()) == {"I1"}
