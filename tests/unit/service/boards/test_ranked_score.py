"""Percentiles are exact, also where a double is not, on boards of any size; shown ones are rounded down."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import msgspec
import pytest

from service.boards.ranked_score import RANK_OR_PERCENTILE, check_rank, find_rank
from service.boards.shared_ranks import percentile_of
from service.contract.problems import Rejected


@pytest.mark.parametrize(
    ("size", "percentile", "rank"),
    [
        (1, "0", 0),
        (1, "100", 0),
        (10, "0", 9),
        (10, "10", 9),
        (10, "10.01", 8),
        (10, "99.9", 0),
        (1000, "99.9", 1),
        (1000, "99.90000000000000000001", 0),
        (10**9, "95", 5 * 10**7),
        (0, "50", -1),
    ],
)
def test_the_last_rank_with_the_percentile(size: int, percentile: str, rank: int) -> None:
    assert find_rank(size, Fraction(percentile)) == rank


def test_a_double_misses_it_by_one_at_most() -> None:
    """The script looks with a double, and returns the entry before and the one behind, too."""
    dice = random.Random(7)
    for _ in range(20_000):
        size = dice.choice((1, 2, 3, 7, dice.randrange(1, 1000), dice.randrange(1, 10**9)))
        percentile = Fraction(dice.randrange(10**4 + 1), 100) if dice.random() < 0.5 else Fraction(dice.random() * 100)
        near = math.floor(size * float(1 - percentile / 100))
        first, last = max(0, near - 1), min(size - 1, near + 1)
        assert first <= find_rank(size, percentile) <= last


@pytest.mark.parametrize(
    ("rank", "total", "shown"),
    [(0, 1, 100.0), (0, 10**9, 100.0), (1, 10**9, 99.99), (1, 3, 66.66), (2, 3, 33.33), (20_000, 20_001, 0.0)],
)
def test_a_percentile_is_shown_with_two_decimals(rank: int, total: int, shown: float) -> None:
    assert percentile_of(rank, total) == shown


def test_the_score_of_a_shown_percentile_is_not_above_the_player() -> None:
    dice = random.Random(8)
    for _ in range(20_000):
        total = dice.choice((1, 2, 3, 7, dice.randrange(1, 1000), dice.randrange(1, 10**9)))
        rank = dice.randrange(total)
        shown = Fraction(repr(percentile_of(rank, total)))
        assert find_rank(total, shown) >= rank
        assert 0 <= Fraction(100 * (total - rank), total) - shown < Fraction(1, 100)


def test_a_query_with_both_or_neither_is_a_bad_one() -> None:
    assert RANK_OR_PERCENTILE.answer.status == 400


def test_a_board_has_as_many_ranks_as_players() -> None:
    check_rank(0, 1)
    check_rank(1_999, 2_000)
    for rank, size, shown in ((0, 0, "0"), (-1, 0, "0"), (1, 1, "1"), (2_000, 2_000, "2,000"), (9, 3, "3")):
        with pytest.raises(Rejected) as refused:
            check_rank(rank, size)
        answer = msgspec.json.decode(refused.value.answer.body)
        assert answer["status"] == 404
        assert (answer["code"], answer["detail"]) == ("rank-not-found", f"The board has {shown} players.")
