"""Ranks that equal rows share, from the entries of a window and the rank of the first one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from board.columns import make_entry, pack_columns
from board.season import Column, Order, turn
from service.boards.calls import BoardState, make_state
from service.boards.shared_ranks import are_equal, percentile_of, rank_at, render_board, split_rank

TIME = (Column("time", "asc"),)


def state(*, order: Order = "desc", shares: bool = False, columns: tuple[Column, ...] = ()) -> BoardState:
    return make_state(order, 100, "1.a", shares, 1, columns)


def entries(*rows: tuple[int, int, str] | tuple[int, int, str, int], order: Order = "desc") -> list[bytes]:
    """A window of rows: score, reached, user, and perhaps a time."""
    found = []
    for score, reached, user, *times in rows:
        zscore, prefix = make_entry(turn(score, order), reached, pack_columns(TIME, times) if times else b"")
        found += [prefix + user.encode(), b"%d" % zscore]
    return found


FOUR = entries((9, 1, "a"), (7, 2, "b"), (7, 3, "c"), (6, 4, "d"))
RUNS = entries((9, 1, "a", 5), (9, 2, "b", 5), (9, 3, "c", 6), (8, 4, "d", 6))


@pytest.mark.parametrize(
    ("rank", "total", "percentile"),
    [
        (0, 1, 100.0),
        (0, 3, 100.0),
        (1, 3, 66.66),
        (2, 3, 33.33),
        (99, 100, 1.0),
        (1, 20_001, 99.99),
        (20_000, 20_001, 0),
    ],
)
def test_a_percentile_is_rounded_down_so_only_the_first_rank_has_100(rank: int, total: int, percentile: float) -> None:
    assert percentile_of(rank, total) == percentile


def test_a_script_tells_the_first_rank_where_ranks_are_shared() -> None:
    assert split_rank([b"m", b"1", 4], 6, state(shares=True)) == ([b"m", b"1"], 4)
    assert split_rank([], 6, state(shares=True)) == ([], 6)
    assert split_rank([b"m", b"1"], 6, state()) == ([b"m", b"1"], 6)


def test_entries_with_the_same_score_and_columns_are_equal() -> None:
    plain, runs = state(shares=True), state(shares=True, columns=TIME)
    pairs = [(one, other) for one in range(4) for other in range(one + 1, 4)]
    assert [pair for pair in pairs if are_equal(FOUR, *pair, plain)] == [(1, 2)]
    assert [pair for pair in pairs if are_equal(RUNS, *pair, runs)] == [(0, 1)]
    four = entries(*((7, at, user) for at, user in enumerate("abcd")))
    assert all(are_equal(four, *pair, plain) for pair in pairs)
    below = entries((-1, 1, "a"), (-2, 2, "b"))
    assert not are_equal(below, 0, 1, plain) and not are_equal(below, 1, 0, plain)
    near = entries((2**60, 1, "a"), (2**60 + 1, 2, "a"))
    assert near[1] == near[3] and not are_equal(near, 0, 1, plain), "their zscores are equal, their scores are not"


@pytest.mark.parametrize(
    ("window", "rank", "ranks"),
    [(FOUR, 6, [6, 7, 7, 9]), (FOUR, 4, [4, 7, 7, 9]), (FOUR[2:], 6, [6, 6, 8]), (FOUR[:2], 0, [0])],
)
def test_equal_entries_have_the_rank_of_the_first_of_them(window: list[bytes], rank: int, ranks: list[int]) -> None:
    shared = state(shares=True)
    assert [rank_at(window, at, 6, rank, shared) for at in range(len(window) // 2)] == ranks


def test_where_ranks_are_not_shared_a_rank_is_a_place() -> None:
    assert [rank_at(FOUR, at, 6, 4, state()) for at in range(4)] == [6, 7, 8, 9]


def shown(window: list[bytes], rank: int, place: int, of: BoardState) -> list[tuple[Any, ...]]:
    items = msgspec.json.decode(render_board(window, rank, place, of))
    return [(item["rank"], item["userId"], item["score"], *item.get("columns", {}).values()) for item in items]


def test_a_board_is_shown_from_rank_one_on() -> None:
    plain = [(1, "a", 9), (2, "b", 7), (3, "c", 7), (4, "d", 6)]
    assert shown(FOUR, 0, 0, state()) == plain
    assert shown(FOUR, 0, 0, state(shares=True)) == [(1, "a", 9), (2, "b", 7), (2, "c", 7), (4, "d", 6)]
    assert shown(FOUR[2:], 4, 5, state(shares=True)) == [(5, "b", 7), (5, "c", 7), (8, "d", 6)]
    assert shown(FOUR[2:], 4, 5, state()) == [(6, "b", 7), (7, "c", 7), (8, "d", 6)]
    assert shown(FOUR[2:], 3, 5, state(shares=True)) == [(4, "b", 7), (4, "c", 7), (8, "d", 6)]


def test_scores_are_shown_as_they_were_submitted() -> None:
    window = entries((-3, 1, "a"), (5, 2, "b"), (5, 3, "c"), order="asc")
    assert shown(window, 0, 0, state(order="asc")) == [(1, "a", -3), (2, "b", 5), (3, "c", 5)]
    assert shown(window, 0, 0, state(order="asc", shares=True)) == [(1, "a", -3), (2, "b", 5), (2, "c", 5)]


def test_runs_are_shown_with_their_columns() -> None:
    plain = [(3, "a", 9, 5), (4, "b", 9, 5), (5, "c", 9, 6), (6, "d", 8, 6)]
    assert shown(RUNS, 2, 2, state(columns=TIME)) == plain
    shared = state(columns=TIME, shares=True)
    assert shown(RUNS, 2, 2, shared) == [(3, "a", 9, 5), (3, "b", 9, 5), (5, "c", 9, 6), (6, "d", 8, 6)]
    # The first one shares the rank of rows before the window.
    assert shown(RUNS, 0, 2, shared) == [(1, "a", 9, 5), (1, "b", 9, 5), (5, "c", 9, 6), (6, "d", 8, 6)]
    assert shown(RUNS[:4], 3, 3, state(columns=TIME)) == [(4, "a", 9, 5), (5, "b", 9, 5)]
    equal = entries((9, 1, "a", 5), (8, 2, "b", 5), (9, 3, "c", 5))
    assert shown(equal, 0, 2, shared) == [(1, "a", 9, 5), (4, "b", 8, 5), (5, "c", 9, 5)], "the last is not before"
    asc = entries((-3, 1, "a", 5), (5, 2, "b", 7), order="asc")
    assert shown(asc, 0, 0, state(order="asc", columns=TIME)) == [(1, "a", -3, 5), (2, "b", 5, 7)]
    assert render_board([], 0, 0, shared) == b"[]"
