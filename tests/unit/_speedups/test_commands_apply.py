"""`build_apply`: one command that carries every row, or an error."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kernels import (
    ONE_NUMBER,
    ONE_USER,
    array,
    changed,
    checked,
    commands_of,
    int8_array,
    labels,
    scores,
    text_array,
    times,
    users,
)

from _speedups import _py


def test_apply_golden(impl: Any) -> None:
    group = ([b"S", b"7"], text_array(["ann", "bo"]), int8_array([1500, None]), int8_array([2, None]))
    assert impl.build_apply(b"5ha", [b"k1", b"k2"], [b"head"], [group]) == (
        b"*15\r\n$7\r\nEVALSHA\r\n$3\r\n5ha\r\n$1\r\n2\r\n$2\r\nk1\r\n$2\r\nk2\r\n$4\r\nhead\r\n"
        b"$1\r\nS\r\n$1\r\n7\r\n$1\r\n2\r\n"
        b"$3\r\nann\r\n$10\r\n\0\0\0\0\0\0\0\0\0\x02\r\n"
        b"$2\r\nbo\r\n$0\r\n\r\n"
        b"$5\r\n-1500\r\n$1\r\n0\r\n"
    )


def test_apply_without_rows(impl: Any) -> None:
    bare = b"*3\r\n$7\r\nEVALSHA\r\n$1\r\ns\r\n$1\r\n0\r\n"
    assert impl.build_apply(b"s", [], (), []) == bare
    empty = ((), text_array([]), int8_array([]), int8_array([]))
    assert impl.build_apply(b"s", (), [], (empty,)) == b"*4" + bare[2:] + b"$1\r\n0\r\n"


rows_of_a_group = st.lists(st.tuples(users, st.none() | scores, times), max_size=120)


@checked
@given(
    keys=st.lists(st.binary(max_size=30), max_size=3),
    head=st.lists(st.binary(max_size=120), max_size=3),
    batch=st.lists(st.tuples(labels, rows_of_a_group), max_size=4),
)
def test_apply_carries_every_row(impl: Any, keys: Any, head: Any, batch: Any) -> None:
    wanted = [b"EVALSHA", b"sha", b"%d" % len(keys), *keys, *head]
    groups = []
    for names, rows in batch:
        groups.append(
            (
                names,
                text_array([row[0] for row in rows]),
                int8_array([row[1] for row in rows]),
                int8_array([None if row[1] is None and row[2] % 2 else row[2] for row in rows]),
            )
        )
        entries = [(0, b"") if row[1] is None else _py.encode_entry(row[1], row[2]) for row in rows]
        wanted += [*names, b"%d" % len(rows)]
        for row, entry in zip(rows, entries, strict=True):
            wanted += [row[0].encode(), entry[1]]
        wanted += [b"%d" % zscore for zscore, _ in entries]
    assert commands_of(impl.build_apply(b"sha", keys, head, groups)) == [wanted]


def test_apply_accepts_arrays_as_postgresql_may_send_them(impl: Any) -> None:
    plain = impl.build_apply(b"s", [], [], [((), text_array(["a"]), int8_array([1]), int8_array([1]))])
    shifted = bytearray(text_array(["a"]))
    shifted[16:20] = struct.pack(">i", -3)  # A lower bound other than 1.
    flagged = bytearray(int8_array([1]))
    flagged[7] = 1  # A bitmap of NULLs, and none of them set.
    group = ((), bytes(shifted), bytes(flagged), int8_array([1]))
    assert impl.build_apply(b"s", [], [], [group]) == plain


@pytest.mark.parametrize(
    ("user", "score", "reached"),
    [
        pytest.param(text_array([None]), ONE_NUMBER, ONE_NUMBER, id="null-user"),
        pytest.param(ONE_USER, ONE_NUMBER, int8_array([None]), id="null-reached"),
        pytest.param(ONE_USER, ONE_NUMBER, int8_array([-1]), id="negative-reached"),
        pytest.param(ONE_USER, int8_array([1, 2]), ONE_NUMBER, id="two-scores"),
        pytest.param(ONE_USER, ONE_NUMBER, int8_array([]), id="no-reached"),
        pytest.param(array(1043, [b"a"]), ONE_NUMBER, ONE_NUMBER, id="varchar"),
        pytest.param(ONE_USER, array(23, [bytes(4)]), ONE_NUMBER, id="int4"),
        pytest.param(ONE_USER, array(20, [bytes(4)]), ONE_NUMBER, id="short-int8"),
        pytest.param(ONE_USER, array(20, [bytes(9)]), ONE_NUMBER, id="long-int8"),
        pytest.param(changed(ONE_USER, 3, b"\2"), ONE_NUMBER, ONE_NUMBER, id="two-dimensions"),
        pytest.param(changed(ONE_USER, 0, b"\xff"), ONE_NUMBER, ONE_NUMBER, id="negative-dimensions"),
        pytest.param(changed(ONE_USER, 7, b"\2"), ONE_NUMBER, ONE_NUMBER, id="unknown-flag"),
        pytest.param(changed(text_array([None]), 7, b"\0"), ONE_NUMBER, ONE_NUMBER, id="unannounced-null"),
        pytest.param(ONE_USER, changed(int8_array([None]), 7, b"\0"), ONE_NUMBER, id="unannounced-gone"),
        pytest.param(
            changed(text_array(["a", "b"]), 20, b"\x7f\xff\xff\xff"),
            int8_array([1, 2]),
            int8_array([1, 2]),
            id="vast-user-before-another",
        ),
        pytest.param(changed(ONE_USER, 12, b"\xff"), ONE_NUMBER, ONE_NUMBER, id="negative-length"),
        pytest.param(changed(ONE_USER, 12, b"\x7f\xff\xff\xff"), ONE_NUMBER, ONE_NUMBER, id="vast-length"),
        pytest.param(changed(ONE_USER, 20, b"\x7f\xff\xff\xff"), ONE_NUMBER, ONE_NUMBER, id="vast-user"),
        pytest.param(changed(ONE_USER, 20, b"\xff\xff\xff\xfe"), ONE_NUMBER, ONE_NUMBER, id="size-minus-2"),
        pytest.param(ONE_USER + b"\0", ONE_NUMBER, ONE_NUMBER, id="left-over"),
        pytest.param(text_array([]) + b"\0", int8_array([]), int8_array([]), id="left-over-empty"),
        pytest.param(b"", ONE_NUMBER, ONE_NUMBER, id="nothing"),
    ],
)
def test_apply_refuses_bad_arrays(impl: Any, user: bytes, score: bytes, reached: bytes) -> None:
    with pytest.raises(ValueError, match=r"user|score|reached"):
        impl.build_apply(b"s", [], [], [((), user, score, reached)])
