"""Where buckets begin and end, also on a board that changes between the two scripts."""

from __future__ import annotations

import pytest

from board.columns import make_entry
from board.season import INT64_MAX, INT64_MIN, Order
from service.boards.histogram import (
    decode_entries,
    divide,
    find_edges,
    find_parts,
    make_buckets,
    place_edge,
    turn_bucket,
)
from service.boards.types import Bucket


def test_ranges_have_about_the_same_width() -> None:
    assert divide(1, 10, 3) == [4, 7]
    assert divide(-(2**63), 2**63 - 1, 4) == [-(2**62), 0, 2**62]
    assert divide(7, 9, 100) == [8, 9], "each range has one score at least"
    assert divide(5, 5, 20) == divide(1, 10, 1) == []


def test_players_with_the_same_score_are_not_divided() -> None:
    assert find_edges([1, 1, 3, 3, 7]) == [3, 7]
    assert find_edges([1, 3, 7]) == [3, 7]
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


def test_a_reply_with_another_number_of_edges_makes_no_buckets() -> None:
    with pytest.raises(ValueError, match="zip"):
        make_buckets([10, 20], [6], 10, (30, 1))


@pytest.mark.parametrize(
    ("size", "parts", "positions"),
    [
        (10, 2, [10, 5, 1]),
        (10, 3, [10, 7, 4, 1]),
        (10, 1, [10, 1]),
        (1, 1, [1, 1]),
        (2, 4, [2, 2, 1, 1, 1]),
        (3, 4, [3, 3, 2, 1, 1]),
    ],
)
def test_each_part_of_a_board_begins_with_its_worst_player(size: int, parts: int, positions: list[int]) -> None:
    assert find_parts(size, parts) == positions


def test_scores_of_entries_are_exact() -> None:
    scores = [INT64_MIN, -1, 0, 2**53 + 1, INT64_MAX]
    entries = []
    for score in scores:
        zscore, prefix = make_entry(score, 9)
        entries += [prefix + b"ada", b"%d" % zscore]
    assert decode_entries(entries) == scores and decode_entries([]) == []
    with pytest.raises(ValueError, match="zip"):
        decode_entries(entries[:-1])


@pytest.mark.parametrize(
    ("score", "zscore", "low"),
    [
        # So near to 0 a score has a zscore of its own: all players with the zscore count.
        (7, b"-7", b"2047"),
        (2**52 - 1, b"-4503599627370495", b"2047"),
        (-(2**52) + 1, b"4503599627370495", b"2047"),
        # Further away the first bytes of the member tell the scores with one zscore apart.
        (2**52, b"-4503599627370496", b"2047"),
        (-(2**52), b"4503599627370496", b"0"),
        (-(2**52) - 1, b"4503599627370496", b"1"),
        (2**52 + 1, b"-4503599627370496", b"2046"),
        (2**60 + 3, b"-5064350557536256", b"2044"),
        (INT64_MAX, b"-9005000231485439", b"0"),
    ],
)
def test_an_edge_has_its_place_among_the_members(score: int, zscore: bytes, low: bytes) -> None:
    assert place_edge(score) == (zscore, low)


@pytest.mark.parametrize(
    ("order", "bucket"), [("desc", Bucket(-5, 9, 3)), ("asc", Bucket(-10, 4, 3))], ids=["desc", "asc"]
)
def test_a_bucket_has_the_scores_that_were_submitted(order: Order, bucket: Bucket) -> None:
    assert turn_bucket(Bucket(-5, 9, 3), order) == bucket
