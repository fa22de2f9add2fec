"""`build_load`: rows of COPY become the commands that load a board."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kernels import (
    COPY_HEADER,
    COPY_TRAILER,
    ROW,
    changed,
    checked,
    commands_of,
    copy_row,
    scores,
    times,
    users,
)

from _speedups import _py


def test_load_golden(impl: Any) -> None:
    rows = copy_row(b"ann", 1500, 1) + copy_row(b"bo", -3, 2) + copy_row(b"", 0, 3)
    payload = (
        b"*6\r\n$4\r\nZADD\r\n$1\r\nz\r\n"
        b"$5\r\n-1500\r\n$13\r\n\0\0\0\0\0\0\0\0\0\x01ann\r\n$1\r\n3\r\n$12\r\n\0\0\0\0\0\0\0\0\0\x02bo\r\n"
        b"*6\r\n$4\r\nHSET\r\n$2\r\nhh\r\n"
        b"$3\r\nann\r\n$10\r\n\0\0\0\0\0\0\0\0\0\x01\r\n$2\r\nbo\r\n$10\r\n\0\0\0\0\0\0\0\0\0\x02\r\n"
        b"*4\r\n$4\r\nZADD\r\n$1\r\nz\r\n$1\r\n0\r\n$10\r\n\0\0\0\0\0\0\0\0\0\x03\r\n"
        b"*4\r\n$4\r\nHSET\r\n$2\r\nhh\r\n$0\r\n\r\n$10\r\n\0\0\0\0\0\0\0\0\0\x03\r\n"
    )
    assert impl.build_load(b"z", b"hh", rows, 2) == (payload, 4, 3)
    assert impl.build_load(b"z", b"hh", COPY_HEADER + rows + COPY_TRAILER, 2) == (payload, 4, 3)


@pytest.mark.parametrize(
    "rows",
    [b"", COPY_HEADER, COPY_TRAILER, COPY_HEADER + COPY_TRAILER, COPY_HEADER[:-1] + b"\x03abc"],
)
def test_load_without_rows(impl: Any, rows: bytes) -> None:
    assert impl.build_load(b"z", b"h", rows, 10) == (b"", 0, 0)


def test_load_ignores_uncritical_header_flags(impl: Any) -> None:
    header = COPY_HEADER[:11] + b"\0\0\xff\xff" + b"\0\0\0\0"
    assert impl.build_load(b"z", b"h", header + copy_row(b"a", 1, 1), 1)[1:] == (2, 1)


@checked
@given(
    rows=st.lists(st.tuples(users, scores, times), max_size=60),
    pairs=st.integers(1, 70) | st.just(10**30),
    zkey=st.binary(max_size=300),
    hkey=st.binary(max_size=300),
)
def test_load_carries_every_row(impl: Any, rows: Any, pairs: int, zkey: bytes, hkey: bytes) -> None:
    wanted = []
    for start in range(0, len(rows), pairs):
        zadd, hset = [b"ZADD", zkey], [b"HSET", hkey]
        for user, score, reached in rows[start : start + pairs]:
            zscore, prefix = _py.encode_entry(score, reached)
            zadd += [b"%d" % zscore, prefix + user.encode()]
            hset += [user.encode(), prefix]
        wanted += [zadd, hset]
    piece = b"".join(copy_row(user.encode(), score, reached) for user, score, reached in rows)
    payload, commands, count = impl.build_load(zkey, hkey, piece, pairs)
    assert (commands_of(payload), commands, count) == (wanted, len(wanted), len(rows))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(COPY_HEADER[:11], id="signature-only"),
        pytest.param(COPY_HEADER[:5], id="half-signature"),
        pytest.param(COPY_HEADER[:-1] + b"\x04abc", id="half-extension"),
        pytest.param(changed(COPY_HEADER, 15, b"\xff\xff\xff\xff"), id="negative-extension"),
        pytest.param(changed(COPY_HEADER, 12, b"\x01"), id="oids-flag"),
        pytest.param(COPY_HEADER + COPY_HEADER, id="two-headers"),
        pytest.param(ROW + COPY_HEADER, id="late-header"),
        pytest.param(COPY_TRAILER + ROW, id="early-trailer"),
        pytest.param(COPY_TRAILER + COPY_TRAILER, id="two-trailers"),
        pytest.param(changed(ROW, 1, b"\2"), id="two-columns"),
        pytest.param(changed(ROW, 0, b"\1"), id="many-columns"),
        pytest.param(changed(ROW, 2, b"\xff\xff\xff\xff"), id="null-user"),
        pytest.param(changed(ROW, 2, b"\x7f\xff\xff\xff"), id="vast-user"),
        pytest.param(changed(ROW, 12, b"\4"), id="int4-score"),
        pytest.param(changed(ROW, 24, b"\4"), id="int4-reached"),
        pytest.param(changed(ROW, 25, b"\x80"), id="negative-reached"),
        pytest.param(struct.pack(">hi3siiq", 3, 3, b"ann", -1, 8, 1), id="null-score"),
        pytest.param(struct.pack(">hi3siqi", 3, 3, b"ann", 8, 1, -1), id="null-reached"),
        pytest.param(ROW + b"\0", id="left-over"),
        pytest.param(ROW + b"\xff", id="half-trailer"),
    ],
)
def test_load_refuses_bad_pieces(impl: Any, rows: bytes) -> None:
    with pytest.raises(ValueError, match=r"rows|reached"):
        impl.build_load(b"z", b"h", rows, 10)


@pytest.mark.parametrize("pairs", [0, -1, -(10**30)])
def test_load_refuses_no_pairs(impl: Any, pairs: int) -> None:
    with pytest.raises(ValueError, match="pairs"):
        impl.build_load(b"z", b"h", ROW, pairs)
