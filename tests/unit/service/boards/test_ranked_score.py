"""Percentiles are exact, also where a double is not, on boards of any size."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest

from service.boards.ranked_score import find_rank


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
