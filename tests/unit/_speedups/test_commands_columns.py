"""Rows of seasons with columns, in `build_apply` and `build_load`: the layout of docs/architecture.md, or an error."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kernels import (
    COPY_HEADER,
    COPY_TRAILER,
    INT64_MIN,
    ONE_NUMBER,
    ONE_USER,
    ROW,
    array,
    changed,
    checked,
    commands_of,
    copy_row,
    int8_array,
    outcome,
    scores,
    text_array,
    times,
    users,
)

from _speedups import _py
from board.columns import make_entry, split_member

ONE_REACHED = int8_array([INT64_MIN + 1])
"""Of the submission 1, in a row with columns."""
runs = st.integers(1, 3).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n))
rows = st.lists(st.tuples(users, st.none() | scores, times, runs), max_size=60)


def bytea_array(values: Any) -> bytes:
    return array(17, values)


def copy_run(user: bytes, score: int, reached: int, run: bytes) -> bytes:
    row = copy_row(user, score, reached + INT64_MIN)
    return changed(row, 1, b"\4") + struct.pack(">i", len(run)) + run


RUN = copy_run(b"ann", 1, 1, bytes(8))


def test_golden(impl: Any) -> None:
    run = bytes(range(16))
    prefix = b"\0\0" + bytes(range(255, 247, -1)) + b"\xff" + bytes(range(247, 239, -1)) + bytes(7) + b"\2"
    group = ([b"S"], text_array(["ann", "bo"]), int8_array([5, None]), int8_array([INT64_MIN + 2, None]))
    payload = impl.build_apply(b"sha", [], [], [(*group, bytea_array([run, None]))])
    assert commands_of(payload) == [[b"EVALSHA", b"sha", b"0", b"S", b"2", b"ann", prefix, b"bo", b"", b"-5", b"0"]]
    payload, commands, count = impl.build_load(b"z", b"h", COPY_HEADER + copy_run(b"ann", 5, 2, run) + COPY_TRAILER, 9)
    assert (commands, count) == (2, 1)
    assert commands_of(payload) == [[b"ZADD", b"z", b"-5", prefix + b"ann"], [b"HSET", b"h", b"ann", prefix]]


@checked
@given(batch=rows)
def test_every_row_is_carried(impl: Any, batch: Any) -> None:
    group = (
        [],
        text_array([row[0] for row in batch]),
        int8_array([row[1] for row in batch]),
        int8_array([row[2] + INT64_MIN for row in batch]),
        bytea_array([row[3] for row in batch]),
    )
    entries = [(0, b"") if row[1] is None else make_entry(*row[1:]) for row in batch]
    wanted = [b"EVALSHA", b"sha", b"0", b"%d" % len(batch)]
    for row, entry in zip(batch, entries, strict=True):
        wanted += [row[0].encode(), entry[1]]
    wanted += [b"%d" % zscore for zscore, _ in entries]
    assert commands_of(impl.build_apply(b"sha", [], [], [group])) == [wanted]
    there = [(row, entry) for row, entry in zip(batch, entries, strict=True) if row[1] is not None]
    piece = b"".join(copy_run(user.encode(), score, reached, run) for (user, score, reached, run), _ in there)
    payload, _, count = impl.build_load(b"z", b"h", piece, 1_000)
    assert count == len(there)
    for (row, (zscore, prefix)), at in zip(there, range(2, 10_000, 2), strict=False):
        zadd, hset = commands_of(payload)
        assert zadd[at : at + 2] == [b"%d" % zscore, prefix + row[0].encode()]
        assert hset[at : at + 2] == [row[0].encode(), prefix]
        entry = split_member(prefix + row[0].encode(), len(row[3]) // 8)
        assert (entry.read_score(zscore), entry.columns, entry.reached) == (row[1], row[3], row[2])


@checked
@given(one=st.tuples(scores, runs, times), other=st.tuples(scores, runs, times))
def test_the_better_entry_is_the_less_one(one: Any, other: Any) -> None:
    size = min(len(one[1]), len(other[1]))
    (score, run, reached), (second, its, later) = [(s, r[:size], t) for s, r, t in (one, other)]
    if (score, run, reached) == (second, its, later):
        return
    mine, yours = make_entry(score, reached, run), make_entry(second, later, its)
    assert (mine < yours) == ((score, run, -reached) > (second, its, -later))


@pytest.mark.parametrize(
    ("reached", "columns"),
    [
        pytest.param(ONE_REACHED, bytea_array([None]), id="no-columns"),
        pytest.param(ONE_REACHED, bytea_array([b""]), id="empty"),
        pytest.param(ONE_REACHED, bytea_array([bytes(7)]), id="short"),
        pytest.param(ONE_REACHED, bytea_array([bytes(12)]), id="half"),
        pytest.param(ONE_REACHED, bytea_array([bytes(32)]), id="four"),
        pytest.param(ONE_REACHED, bytea_array([]), id="none"),
        pytest.param(ONE_REACHED, bytea_array([bytes(8)] * 2), id="two-rows"),
        pytest.param(ONE_REACHED, text_array(["12345678"]), id="text"),
        pytest.param(ONE_NUMBER, bytea_array([bytes(8)]), id="plain-reached"),
        pytest.param(int8_array([None]), bytea_array([bytes(8)]), id="null-reached"),
    ],
)
def test_wrong_columns_are_refused(impl: Any, reached: bytes, columns: bytes) -> None:
    with pytest.raises(ValueError, match=r"columns|reached"):
        impl.build_apply(b"s", [], [], [((), ONE_USER, ONE_NUMBER, reached, columns)])


def test_rows_with_columns_are_refused_where_none_are_expected(impl: Any) -> None:
    """So does the previous release."""
    with pytest.raises(ValueError, match="reached"):
        impl.build_apply(b"s", [], [], [((), ONE_USER, ONE_NUMBER, ONE_REACHED)])
    with pytest.raises(ValueError, match="reached"):
        impl.build_load(b"z", b"h", copy_row(b"ann", 1, INT64_MIN + 1), 1)


@pytest.mark.parametrize("group", [((),), ((), b"", b"", b"", b"", b"")])
def test_groups_have_four_or_five_members(impl: Any, group: Any) -> None:
    with pytest.raises(TypeError, match="group"):
        impl.build_apply(b"s", [], [], [group])


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(changed(ROW, 1, b"\4"), id="columns-missing"),
        pytest.param(changed(RUN, 1, b"\3"), id="columns-not-announced"),
        pytest.param(changed(RUN, 1, b"\5"), id="five"),
        pytest.param(RUN[:-1], id="cut"),
        pytest.param(RUN[:-8], id="cut-before"),
        pytest.param(RUN[:-10], id="cut-in-the-length"),
        pytest.param(changed(RUN, 36, b"\x10"), id="longer-than-the-rest"),
        pytest.param(changed(RUN, 33, b"\xff\xff\xff\xff"), id="null"),
        pytest.param(changed(RUN, 33, b"\0\0\0\0"), id="empty"),
        pytest.param(changed(RUN, 33, b"\x7f\xff\xff\xf8"), id="vast"),
        pytest.param(changed(RUN, 25, b"\0"), id="plain-reached"),
        pytest.param(copy_run(b"a", 1, 1, bytes(12)), id="half"),
    ],
)
def test_wrong_pieces_are_refused(impl: Any, piece: bytes) -> None:
    with pytest.raises(ValueError, match=r"rows|reached|columns"):
        impl.build_load(b"z", b"h", piece, 10)
    with pytest.raises(ValueError, match=r"rows|reached|columns"):
        impl.build_load(b"z", b"h", RUN + piece, 10)


damages = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from([0, 1, 3, 4, 8, 16, 24, 0x7F, 0x80, 0xFF])), max_size=3
)


@checked
@given(batch=rows, columns=damages, times_=damages, piece=damages, cut=st.integers(0, 60))
def test_both_agree_on_damaged_rows(compiled: Any, batch: Any, columns: Any, times_: Any, piece: Any, cut: int) -> None:
    def damage(data: bytes, marks: Any) -> bytes:
        for at, byte in marks:
            data = changed(data, at % len(data), bytes([byte])) if data else data
        return data

    group = (
        [],
        text_array([row[0] for row in batch]),
        int8_array([row[1] for row in batch]),
        damage(int8_array([row[2] + INT64_MIN for row in batch]), times_),
        damage(bytea_array([row[3] for row in batch]), columns),
    )
    args = (b"sha", [], [], [group])
    assert outcome(compiled.build_apply, *args) == outcome(_py.build_apply, *args)
    whole = b"".join(copy_run(user.encode(), score or 0, reached, run) for user, score, reached, run in batch)
    broken = damage(whole, piece)[: max(0, len(whole) - cut + 30)]
    args = (b"z", b"h", broken, 7)
    assert outcome(compiled.build_load, *args) == outcome(_py.build_load, *args)
