"""Board entries: every score and time comes back exactly, and bytes sort as the board does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kernels import EDGES, INT64_MAX, INT64_MIN, checked, scores, times, users


@pytest.mark.parametrize(
    ("score", "reached", "zscore", "prefix"),
    [
        (0, 0, 0, b"\0\0\0\0\0\0\0\0\0\0"),
        (1500, 258, -1500, b"\0\0\0\0\0\0\0\0\x01\x02"),
        (-1500, 1, 1500, b"\0\0\0\0\0\0\0\0\0\x01"),
        (2**52 - 1, 0, -(2**52) + 1, bytes(10)),
        (2**52, 0, -(2**52), b"\x07\xff" + bytes(8)),
        (2**52 + 1, 0, -(2**52), b"\x07\xfe" + bytes(8)),
        (2**52 + 2047, 0, -(2**52), b"\0\0" + bytes(8)),
        (2**52 + 2048, 0, -(2**52) - 1, b"\x07\xff" + bytes(8)),
        (-(2**52) + 1, 0, 2**52 - 1, bytes(10)),
        (-(2**52), 0, 2**52, bytes(10)),
        (-(2**52) - 1, 0, 2**52, b"\0\x01" + bytes(8)),
        (-(2**52) - 2048, 0, 2**52 + 1, bytes(10)),
        (INT64_MAX, INT64_MAX, -(2**53) + 2**41 + 1, b"\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        (INT64_MIN, 0, 2**53 - 2**41, bytes(10)),
    ],
)
def test_entry_golden(impl: Any, score: int, reached: int, zscore: int, prefix: bytes) -> None:
    assert impl.encode_entry(score, reached) == (zscore, prefix)
    assert impl.decode_score(zscore, prefix + b"player") == score


@checked
@given(score=scores, reached=times, user=users)
def test_entry_round_trip_is_exact(impl: Any, score: int, reached: int, user: str) -> None:
    zscore, prefix = impl.encode_entry(score, reached)
    assert int(float(zscore)) == zscore
    assert len(prefix) == 10
    assert int.from_bytes(prefix[2:], "big") == reached
    assert impl.decode_score(zscore, prefix + user.encode()) == score


@checked
@given(entries=st.lists(st.tuples(scores, times, users), min_size=2, max_size=12))
def test_entry_order_is_the_board_order(impl: Any, entries: list[tuple[int, int, str]]) -> None:
    def stored(entry: tuple[int, int, str]) -> tuple[float, bytes]:
        zscore, prefix = impl.encode_entry(entry[0], entry[1])
        return float(zscore), prefix + entry[2].encode()

    def wanted(entry: tuple[int, int, str]) -> tuple[int, int, bytes]:
        return -entry[0], entry[1], entry[2].encode()

    assert sorted(entries, key=stored) == sorted(entries, key=wanted)


@checked
@given(edge=st.sampled_from(EDGES), step=st.integers(-4100, 4100))
def test_neighbouring_scores_are_told_apart(impl: Any, edge: int, step: int) -> None:
    score = max(INT64_MIN + 1, min(INT64_MAX, edge + step))
    (high, high_prefix), (low, low_prefix) = impl.encode_entry(score, 0), impl.encode_entry(score - 1, 0)
    assert (float(high), high_prefix) < (float(low), low_prefix)


@pytest.mark.parametrize("score", [INT64_MAX + 1, INT64_MIN - 1, 10**40, -(10**40)])
def test_entry_refuses_a_score_beyond_int64(impl: Any, score: int) -> None:
    with pytest.raises(OverflowError, match="score"):
        impl.encode_entry(score, 0)


@pytest.mark.parametrize("reached", [-1, INT64_MIN, 2**63, 10**40])
def test_entry_refuses_reached_out_of_range(impl: Any, reached: int) -> None:
    with pytest.raises(OverflowError, match="reached"):
        impl.encode_entry(0, reached)


@pytest.mark.parametrize(
    ("zscore", "member"),
    [
        (0, b""),
        (0, bytes(9)),
        (0, b"\0\x01" + bytes(8)),
        (2**52 - 1, b"\0\x01" + bytes(8)),
        (2**52, b"\x08\0" + bytes(8)),
        (-(2**52), b"\xff\xff" + bytes(8)),
        (-(2**53) + 2**41, bytes(10)),
        (2**53 - 2**41, b"\0\x01" + bytes(8)),
        (2**53, bytes(10)),
        (INT64_MIN, bytes(10)),
        (INT64_MAX, bytes(10)),
        # 2**53 beyond the edge: its bits, shifted, leave 64 bits without a trace.
        (2**52 + 2**53, bytes(10)),
        (-(2**52) - 2**53, b"\x07\xff" + bytes(8)),
        (10**40, bytes(10)),
        (-(10**40), bytes(10)),
    ],
)
def test_decode_refuses_what_no_score_gives(impl: Any, zscore: int, member: bytes) -> None:
    with pytest.raises(ValueError, match=r"member|zscore"):
        impl.decode_score(zscore, member)
