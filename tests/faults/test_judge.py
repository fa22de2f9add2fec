"""The judge itself: a true history passes, and every kind of breach is found in one that is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.world import World

from board.partitions import partition_of
from faults.tape import Case


@pytest.fixture
def case(world: World) -> Case:
    return Case(world)


def test_a_true_history_passes(case: Case) -> None:
    assert case.judged() == {}


def ledger(case: Case, op: int, user: str) -> None:
    """One more row for a submission."""
    case.world.execute(
        "INSERT INTO ledger (submission, period_id, user_id, delta) "
        f"SELECT nextval('submission'), period_id, '{user}', {op} FROM season WHERE season_id = 's'"
    )


def test_a_true_history_of_runs_passes(world: World) -> None:
    assert runs(world).judged() == {}


def runs(world: World) -> Case:
    """A season in which the lowest run counts, after the other one: two of one player, of which the later is worse."""
    case = Case(world)
    world.define("s2", operator="best", order="asc")
    case.tape.note("ok", "define", 0, operator="best", order="asc")
    case.tape.events[-1]["season"] = "s2"
    for op, user, value in ((31, "ada", 5_000_000_031), (32, "bob", 6_000_000_032), (33, "ada", 7_000_000_033)):
        ((_, score, version, previous, improved),) = world.submit_by_rule(("s2", user, value, True))
        case.tape.submit(op, user, (score, version))
        case.tape.events[-1] |= {"previousScore": previous, "improved": improved}
        for event in case.tape.events[-2:]:
            event |= {"season": "s2", "value": value}
    case.hand.drain()
    case.tape.read("top", 41, users=["ada", "bob"], scores=[5_000_000_031, 6_000_000_032])
    case.tape.events[-1]["season"] = case.tape.events[-2]["season"] = "s2"
    return case


def keep_the_worse(case: Case) -> None:
    case.world.execute("UPDATE score SET score = ~7000000033, reached = reached + 2 WHERE score = ~5000000031")


def tell_the_worse(case: Case) -> None:
    case.tape.events[-3] |= {"score": 7_000_000_033}


def show_the_worse_first(case: Case) -> None:
    case.tape.events[-1]["scores"].reverse()


@pytest.mark.parametrize(
    ("alter", "broken"),
    [(keep_the_worse, {"I2", "I3", "leader"}), (tell_the_worse, {"I2"}), (show_the_worse_first, {"I8"})],
)
def test_a_breach_of_a_rule_is_found(world: World, alter: Callable[[Case], None], broken: set[str]) -> None:
    case = runs(world)
    alter(case)
    assert set(case.judged()) == broken


def lose(case: Case) -> None:
    case.world.execute("DELETE FROM ledger WHERE delta = 12")


def double(case: Case) -> None:
    ledger(case, 12, "bob")


def count_refused(case: Case) -> None:
    case.tape.submit(14, "bob", None, kind="fail")
    ledger(case, 14, "bob")


def answer_twice(case: Case) -> None:
    case.tape.note("ok", "submit", 11, user="ada", keyed=True, score=99, version=1)


def wrong_sum(case: Case) -> None:
    case.world.execute("UPDATE score SET score = score + 1 WHERE user_id = 'bob'")


def board(case: Case) -> Any:
    return case.world.keys.board(partition_of("s"), b"s")


def miss_a_member(case: Case) -> None:
    case.world.redis.zrem(board(case), case.world.redis.zrange(board(case), 0, 0)[0])


def alter_a_score(case: Case) -> None:
    case.world.redis.zincrby(board(case), 1, case.world.redis.zrange(board(case), 0, 0)[0])


def alter_the_hash(case: Case) -> None:
    case.world.redis.hdel(case.world.keys.members(partition_of("s"), b"s"), "bob")


def show_an_old_period(case: Case) -> None:
    case.world.redis.hset(case.world.keys.periods[partition_of("s")], "s", "0")


def go_back(case: Case) -> None:
    case.tape.read("rank", 24, "ada", score=11, version=1)


def show_what_never_was(case: Case) -> None:
    score, version = case.last
    case.tape.read("rank", 24, "ada", score=score + 1, version=version)


def leave_a_hint(case: Case) -> None:
    case.world.execute("INSERT INTO outbox (partition, period_id, user_id) VALUES (1, 1, 'ada')")


def leave_a_temporary_key(case: Case) -> None:
    case.world.redis.set(case.world.keys.loaded_board(3, b"s"), "x")


def show_half_a_board(case: Case) -> None:
    case.tape.read("top", 24, users=["ada"], scores=[24])


def show_an_empty_board(case: Case) -> None:
    case.tape.read("top", 24, users=[], scores=[])


def show_a_player_twice(case: Case) -> None:
    case.tape.read("top", 24, users=["ada", "bob", "ada"], scores=[24, 12, 11])


def show_the_worst_first(case: Case) -> None:
    case.tape.read("top", 24, users=["bob", "ada"], scores=[12, 24])


def fall_back(case: Case) -> None:
    case.world.redis.hset(case.world.keys.watermark[partition_of("s")], "fence", 0)


def be_of_another(case: Case) -> None:
    case.world.redis.hset(case.world.keys.watermark[partition_of("s")], "identity", "1:00000001")


def lose_sight_of_a_player(case: Case) -> None:
    case.tape.read("rank", 24, "bob", status=404)


def show_a_window_without_the_player(case: Case) -> None:
    case.tape.read("around", 24, "bob", users=["ada"], scores=[24])


def count_over_a_reset(case: Case) -> None:
    """Acknowledged before the reset, yet in the same period as one sent after its answer."""
    case.tape.note("invoke", "reset", 31)
    case.tape.note("ok", "reset", 31)
    case.tape.submit(15, "cy", (15, 99))
    case.world.submit(("s", "cy", 15))
    case.hand.drain()


def listen(case: Case, **more: Any) -> None:
    """What a listener has in the end: the board, but for `more`."""
    right = {"how": "stream", "limit": 20, "total": 2, "wrong": "", "users": ["ada", "bob"], "scores": [24, 12]}
    case.tape.note("ok", "listen", 0, **right | more)


def hear_of_one_only(case: Case) -> None:
    listen(case, users=["ada"], scores=[24])


def hear_of_an_old_score(case: Case) -> None:
    listen(case, scores=[11, 12])


def hear_of_another_number(case: Case) -> None:
    listen(case, total=3)


def hear_a_gap(case: Case) -> None:
    listen(case, wrong="a gap")


def hear_nothing(case: Case) -> None:
    listen(case, users=[], scores=[], total=0)


def test_listeners_with_the_board_pass(case: Case) -> None:
    listen(case)
    listen(case, limit=1, users=["ada"], scores=[24])
    assert case.judged() == {}


@pytest.mark.parametrize(
    ("breach", "name"),
    [
        (lose, "I1"),
        (double, "I2"),
        (count_refused, "I2"),
        (answer_twice, "I2"),
        (wrong_sum, "I2"),
        (miss_a_member, "I3"),
        (alter_a_score, "I3"),
        (alter_the_hash, "I3"),
        (show_an_old_period, "I3"),
        (go_back, "I4"),
        (show_what_never_was, "I4"),
        (leave_a_hint, "I5"),
        (fall_back, "I6"),
        (be_of_another, "I6"),
        (leave_a_temporary_key, "I7"),
        (show_half_a_board, "I8"),
        (show_an_empty_board, "I8"),
        (show_a_player_twice, "I8"),
        (show_the_worst_first, "I8"),
        (lose_sight_of_a_player, "I8"),
        (show_a_window_without_the_player, "I8"),
        (count_over_a_reset, "reset"),
        (hear_of_one_only, "live"),
        (hear_of_an_old_score, "live"),
        (hear_of_another_number, "live"),
        (hear_a_gap, "live"),
        (hear_nothing, "live"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_breach_is_found(case: Case, breach: Callable[[Case], None], name: str) -> None:
    breach(case)
    assert name in case.judged()


def test_what_is_unknown_may_count_or_not(case: Case) -> None:
    case.tape.submit(14, "dan", None, kind="unknown")
    case.tape.submit(15, "eve", None, kind="unknown")
    case.world.submit(("s", "dan", 14))
    case.hand.drain()
    assert case.judged() == {}


def test_a_reset_excuses_an_empty_board(case: Case) -> None:
    case.tape.note("invoke", "reset", 31)
    case.world.reset("s")
    case.hand.drain()
    case.tape.note("ok", "reset", 31)
    case.tape.read("top", 32, users=[], scores=[])
    case.tape.read("rank", 33, "ada", status=404)
    assert case.judged() == {}
