"""Where buckets begin and end, also on a board that changes between the two scripts."""

from __future__ import annotations

import pytest

from service.boards.histogram import divide, find_edges, make_buckets
from service.boards.types import Bucket


def test_ranges_have_about_the_same_width() -> None:
    assert divide(1, 10, 3) == [4, 7]
    assert divide(-(2**63), 2**63 - 1, 4) == [-(2**62), 0, 2**62]
    assert divide(7, 9, 100) == [8, 9], "each range has one score at least"
    assert divide(5, 5, 20) == divide(1, 10, 1) == []


def test_players_with_the_same_score_are_not_divided() -> None:
    assert find_edges([1, 1, 3, 3, 7]) == [3, 7]
    assert find_edges([4, 4, 4]) == find_edges([]) == []


@pytest.mark.parametrize(
    ("ends", "ahead", "expected"),
    [
        ((30, 1), [6, 2], [Bucket(1, 9, 4), Bucket(10, 19, 4), Bucket(20, 30, 2)]),
        ((15, 1), [6, 0], [Bucket(1, 9, 4), Bucket(10, 15, 6)]),
        ((30, 12), [10, 2], [Bucket(12, 19, 8), Bucket(20, 30, 2)]),
        ((99, 50), [10, 10], [Bucket(50, 99, 10)]),
        ((3, -5), [0, 0], [Bucket(-5, 3, 10)]),
        ((10, 10), [10, 0], [Bucket(10, 10, 10)]),
        ((20, 10), [10, 3], [Bucket(10, 19, 7), Bucket(20, 20, 3)]),
    ],
)
def test_buckets_end_where_the_board_ends_now(ends: tuple[int, int], ahead: list[int], expected: list[Bucket]) -> None:
    assert make_buckets([10, 20], ahead, 10, ends) == expected
