"""Columns of runs, byte by byte: boards and rows of older releases have them in this form."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _speedups import encode_entry
from board.columns import (
    Entry,
    make_entry,
    measure_prefix,
    measure_run,
    pack_columns,
    read_columns,
    sign_columns,
    split_member,
    strip_columns,
    unpack_columns,
)
from board.season import COLUMNS_MOST, INT64_MAX, INT64_MIN, Column

TIME, MOVES, STARS = Column("time", "asc"), Column("moves"), Column("stars", "asc")
INT64 = st.integers(INT64_MIN, INT64_MAX) | st.sampled_from((INT64_MIN, -1, 0, 1, INT64_MAX))


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def test_columns_are_signed_by_their_order() -> None:
    assert sign_columns([TIME, MOVES]) == "<time>moves"
    assert sign_columns([MOVES, TIME, STARS]) == ">moves<time<stars"
    assert sign_columns([]) is None


@pytest.mark.parametrize("columns", [(), (TIME,), (MOVES,), (TIME, MOVES, STARS)])
def test_signed_columns_are_read_again(columns: tuple[Column, ...]) -> None:
    assert read_columns(sign_columns(columns)) == columns


@pytest.mark.parametrize(
    ("column", "value", "packed"),
    [
        (MOVES, INT64_MIN, 0),
        (MOVES, -1, 2**63 - 1),
        (MOVES, 0, 2**63),
        (MOVES, INT64_MAX, 2**64 - 1),
        (TIME, INT64_MIN, 2**64 - 1),
        (TIME, 0, 2**63 - 1),
        (TIME, 5, 2**63 - 6),
        (TIME, INT64_MAX, 0),
    ],
)
def test_the_greater_bytes_are_the_better_run(column: Column, value: int, packed: int) -> None:
    assert pack_columns([column], [value]) == number(packed)


@given(st.lists(st.tuples(st.sampled_from((TIME, MOVES, STARS)), INT64), max_size=3, unique_by=lambda one: one[0]))
def test_packed_columns_are_unpacked_by_name(run: list[tuple[Column, int]]) -> None:
    columns, values = [column for column, _ in run], [value for _, value in run]
    packed = pack_columns(columns, values)
    assert unpack_columns(columns, packed) == {column.name: value for column, value in run}
    for other in (packed + b"\0", packed[:-1], packed + number(0)):
        if other != packed:
            with pytest.raises(ValueError, match="other columns"):
                unpack_columns(columns, other)


@pytest.mark.parametrize("value", [INT64_MIN - 1, INT64_MAX + 1])
def test_a_value_beyond_64_bits_is_not_packed_as_another_one(value: int) -> None:
    with pytest.raises(struct.error):
        pack_columns([MOVES], [value])


def test_a_run_has_one_value_for_each_column() -> None:
    with pytest.raises(ValueError, match="zip"):
        pack_columns([TIME, MOVES], [1])


def test_the_part_before_the_user_id_has_a_length_for_each_number_of_columns() -> None:
    assert [measure_prefix(columns) for columns in range(COLUMNS_MOST + 1)] == [10, 19, 27, 35]
    assert [measure_run(columns) for columns in range(COLUMNS_MOST + 1)] == [2, 11, 19, 27]


PACKED = number(2**63 - 6) + number(2**63 - 1)
"""`<time>moves` with 5 and -1."""
MEMBER = b"\0\0" + number(2**63 + 5) + b"\xff" + number(2**63) + number(9)
"""The same, as the part of a member before the user id: inverted, with the number 9."""


def test_a_member_has_its_columns_inverted_and_a_mark_that_no_text_has() -> None:
    assert pack_columns([TIME, MOVES], [5, -1]) == PACKED
    assert make_entry(7, 9, PACKED) == (-7, MEMBER)
    assert make_entry(7, 9) == encode_entry(7, 9) == (-7, b"\0\0" + number(9))
    assert make_entry(7, 9, PACKED[:8]) == (-7, MEMBER[:11] + number(9))
    low = encode_entry(2**60 - 3, 9)[1][:2]
    assert make_entry(2**60 - 3, 9, PACKED)[1] == low + MEMBER[2:] and low != b"\0\0"


def test_a_member_is_split_into_its_parts() -> None:
    assert split_member(MEMBER + b"ada", 2) == Entry(MEMBER, PACKED, 9, b"ada")
    assert split_member(MEMBER, 2) == Entry(MEMBER, PACKED, 9, b"")
    bare = b"\x01\x02" + number(2**63)
    assert split_member(bare + b"\xffada", 0) == Entry(bare, b"", 2**63, b"\xffada")
    assert split_member(bare, 0).user == b""


@given(INT64, st.integers(1, INT64_MAX), st.lists(INT64, max_size=3), st.text(max_size=9))
def test_every_row_is_read_from_its_entry(score: int, reached: int, values: list[int], user: str) -> None:
    columns = [TIME, MOVES, STARS][: len(values)]
    zscore, prefix = make_entry(score, reached, pack_columns(columns, values))
    entry = split_member(prefix + user.encode(), len(values))
    assert (entry.read_score(zscore), entry.reached, entry.user.decode()) == (score, reached, user)
    assert unpack_columns(columns, entry.columns) == {c.name: v for c, v in zip(columns, values, strict=True)}


@pytest.mark.parametrize(
    ("member", "columns"),
    [
        (MEMBER[:-1], 2),
        (b"\0\0" + number(9) + b"a text that is long enough", 2),
        (MEMBER[:10] + b"\xfe" + MEMBER[11:], 2),
        (b"\0" * 9, 0),
        (b"", 1),
    ],
)
def test_a_member_of_another_rule_is_found_out(member: bytes, columns: int) -> None:
    with pytest.raises(ValueError, match="another rule"):
        split_member(member, columns)
    if columns:
        with pytest.raises(ValueError, match="another rule"):
            strip_columns([MEMBER, member], (TIME, MOVES, STARS)[:columns])


def test_stripped_members_are_those_of_a_board_without_columns() -> None:
    low = b"\x01\x02"
    other = low + number(0) + b"\xff" + number(2**64 - 1) + number(2**63)
    assert strip_columns([MEMBER + b"ada", other], (TIME, MOVES)) == [
        (b"\0\0" + number(9) + b"ada", {"time": 5, "moves": -1}),
        (low + number(2**63), {"time": INT64_MIN, "moves": INT64_MIN}),
    ]
    best = low + number(2**64 - 1) + b"\xff" + number(0) + number(2**64 - 1) + number(1)
    assert strip_columns([best + b"b"], (TIME, MOVES, STARS)) == [
        (low + number(1) + b"b", {"time": INT64_MAX, "moves": INT64_MAX, "stars": INT64_MAX})
    ]
    assert strip_columns([], (TIME,)) == []
