"""`build_segments`: rows of COPY become the commands that load the boards of segments."""

from __future__ import annotations

import struct
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kernels import (
    COPY_HEADER,
    COPY_TRAILER,
    INT64_MIN,
    changed,
    checked,
    commands_of,
    copy_row,
    outcome,
    scores,
    times,
    users,
)

from _speedups import _py
from board.columns import make_entry


def placed(row: bytes, segment: bytes | None, names: bytes | None) -> bytes:
    """A row of `copy_row`, perhaps with columns behind it, and the two fields of segments."""
    more = b"".join(struct.pack(">i", -1) if f is None else struct.pack(">i", len(f)) + f for f in (segment, names))
    return changed(row, 1, bytes([row[1] + 2])) + more


def run_row(user: bytes, score: int, reached: int, run: bytes) -> bytes:
    row = copy_row(user, score, reached + INT64_MIN)
    return changed(row, 1, b"\4") + struct.pack(">i", len(run)) + run


ANN = placed(copy_row(b"ann", 1500, 1), b"c:KR", b"c:KR\np:pc")
RUN = placed(run_row(b"ann", 1500, 1, bytes(8)), b"c:KR", b"c:KR")
segments = st.sampled_from([b"", b"c:KR", b"c:GB", b"p:" + b"x" * 200])
named = st.none() | st.sampled_from([b"", b"c:KR", b"c:KR\np:pc"])
runs = st.just(b"") | st.integers(1, 3).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n))
rows = st.lists(st.tuples(users, scores, times, runs, segments, named), max_size=40)


def written(batch: Any) -> bytes:
    return b"".join(
        placed(
            run_row(user.encode(), score, reached, run) if run else copy_row(user.encode(), score, reached), of, names
        )
        for user, score, reached, run, of, names in batch
    )


def test_golden(impl: Any) -> None:
    piece = ANN + placed(copy_row(b"bo", -3, 2), b"c:KR", None) + placed(copy_row(b"cy", 0, 3), b"p:pc", b"p:pc")
    payload = (
        b"*6\r\n$4\r\nZADD\r\n$6\r\ns:c:KR\r\n"
        b"$5\r\n-1500\r\n$13\r\n\0\0\0\0\0\0\0\0\0\x01ann\r\n$1\r\n3\r\n$12\r\n\0\0\0\0\0\0\0\0\0\x02bo\r\n"
        b"*4\r\n$4\r\nHSET\r\n$1\r\ng\r\n$3\r\nann\r\n$9\r\nc:KR\np:pc\r\n"
        b"*4\r\n$4\r\nZADD\r\n$6\r\ns:p:pc\r\n$1\r\n0\r\n$12\r\n\0\0\0\0\0\0\0\0\0\x03cy\r\n"
        b"*4\r\n$4\r\nHSET\r\n$1\r\ng\r\n$2\r\ncy\r\n$4\r\np:pc\r\n"
    )
    assert impl.build_segments(b"s:", b"g", piece, 2) == (payload, 4, 3)
    assert impl.build_segments(b"s:", b"g", COPY_HEADER + piece + COPY_TRAILER, 2) == (payload, 4, 3)


@pytest.mark.parametrize("piece", [b"", COPY_HEADER, COPY_TRAILER, COPY_HEADER + COPY_TRAILER])
def test_no_rows_are_no_commands(impl: Any, piece: bytes) -> None:
    assert impl.build_segments(b"s:", b"g", piece, 10) == (b"", 0, 0)


@checked
@given(batch=rows, pairs=st.integers(1, 50) | st.just(10**30), base=st.binary(max_size=300))
def test_every_row_is_carried(impl: Any, batch: Any, pairs: int, base: bytes) -> None:
    wanted = []
    for start in range(0, len(batch), pairs):
        chunk = batch[start : start + pairs]
        for segment, group in groupby(chunk, key=lambda row: row[4]):
            zadd = [b"ZADD", base + segment]
            for user, score, reached, run, *_ in group:
                zscore, prefix = make_entry(score, reached, run)
                zadd += [b"%d" % zscore, prefix + user.encode()]
            wanted.append(zadd)
        if hset := [text for user, *_, names in chunk if names is not None for text in (user.encode(), names)]:
            wanted.append([b"HSET", b"g", *hset])
    payload, commands, count = impl.build_segments(base, b"g", written(batch), pairs)
    assert (commands_of(payload), commands, count) == (wanted, len(wanted), len(batch))


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(copy_row(b"ann", 1, 1), id="no-segment"),
        pytest.param(changed(ANN, 1, b"\4"), id="four-fields"),
        pytest.param(changed(ANN, 1, b"\7"), id="seven-fields"),
        pytest.param(changed(ANN, 1, b"\6"), id="columns-not-there"),
        pytest.param(changed(RUN, 1, b"\5"), id="columns-not-announced"),
        pytest.param(placed(copy_row(b"ann", 1, 1), None, b"c:KR"), id="null-segment"),
        pytest.param(placed(copy_row(b"ann", 1, INT64_MIN + 1), b"c:KR", None), id="negative-reached"),
        pytest.param(changed(RUN, 25, b"\0"), id="plain-reached"),
        pytest.param(placed(run_row(b"ann", 1, 1, bytes(12)), b"c:KR", None), id="half-columns"),
        pytest.param(changed(ANN, 2, b"\xff\xff\xff\xff"), id="null-user"),
        pytest.param(changed(ANN, 33, b"\x7f\xff\xff\xff"), id="vast-segment"),
        pytest.param(changed(ANN, 41, b"\xff\xff\xff\xfe"), id="negative-names"),
        pytest.param(ANN[:-1], id="cut"),
        pytest.param(ANN[:-10], id="cut-in-the-length"),
        pytest.param(ANN + b"\0", id="left-over"),
        pytest.param(COPY_TRAILER + ANN, id="early-trailer"),
    ],
)
def test_wrong_pieces_are_refused(impl: Any, piece: bytes) -> None:
    for before in (b"", ANN):
        with pytest.raises(ValueError, match=r"rows|reached|columns"):
            impl.build_segments(b"s:", b"g", before + piece, 10)


@pytest.mark.parametrize("pairs", [0, -1, -(10**30)])
def test_no_pairs_are_refused(impl: Any, pairs: int) -> None:
    with pytest.raises(ValueError, match="pairs"):
        impl.build_segments(b"s:", b"g", ANN, pairs)


damages = st.lists(
    st.tuples(st.integers(0, 300), st.sampled_from([0, 1, 3, 5, 6, 8, 16, 24, 0x7F, 0x80, 0xFF])), max_size=3
)


@checked
@given(batch=rows, marks=damages, cut=st.integers(0, 60), pairs=st.integers(-1, 5))
def test_both_agree_on_damaged_rows(compiled: Any, batch: Any, marks: Any, cut: int, pairs: int) -> None:
    piece = written(batch)
    for at, byte in marks:
        piece = changed(piece, at % len(piece), bytes([byte])) if piece else piece
    args = (b"s:", b"g", piece[: max(0, len(piece) - cut + 30)], pairs)
    assert outcome(compiled.build_segments, *args) == outcome(_py.build_segments, *args)
