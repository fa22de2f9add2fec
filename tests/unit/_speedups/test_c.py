"""The byte kernels: every promise on both implementations, then one implementation against the other."""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from support.absent import absent

from _speedups import _py

# No deadline: a busy machine is no reason to fail.
checked = settings(deadline=None, max_examples=200)

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EDGES = [0, 2**52, -(2**52), 2**53, -(2**53), INT64_MIN, INT64_MAX]

int64s = st.integers(INT64_MIN, INT64_MAX)
scores = (
    int64s
    | st.integers(-5000, 5000)
    | st.builds(
        lambda edge, step: max(INT64_MIN, min(INT64_MAX, edge + step)),
        st.sampled_from(EDGES),
        st.integers(-4100, 4100),
    )
)
times = st.integers(0, INT64_MAX) | st.integers(0, 300)
users = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def load(name: str) -> Any:
    if name == "python":
        return _py
    try:
        return importlib.import_module("_speedups._c")
    except ImportError as error:
        absent(f"the compiled kernels are not built: {error}")


@pytest.fixture(scope="module", params=["python", "c"])
def impl(request: pytest.FixtureRequest) -> Any:
    return load(request.param)


@pytest.fixture(scope="module")
def compiled() -> Any:
    return load("c")


# --- What the promises are checked with: small readers and writers of their own --------------------------


def int8_array(values: Sequence[int | None]) -> bytes:
    return array(20, [None if value is None else struct.pack(">q", value) for value in values])


def text_array(values: Sequence[str | None]) -> bytes:
    return array(25, [None if value is None else value.encode() for value in values])


def array(oid: int, items: Sequence[bytes | None]) -> bytes:
    if not items:
        return struct.pack(">3i", 0, 0, oid)
    body = b"".join(struct.pack(">i", -1) if i is None else struct.pack(">i", len(i)) + i for i in items)
    return struct.pack(">5i", 1, None in items, oid, len(items), 1) + body


def copy_row(user: bytes, score: int, reached: int) -> bytes:
    return struct.pack(f">hi{len(user)}siqiq", 3, len(user), user, 8, score, 8, reached)


COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TRAILER = b"\xff\xff"


def commands_of(payload: bytes) -> list[list[bytes]]:
    """The commands in a RESP payload; an `AssertionError` when it is not well-formed."""
    found = []
    at = 0

    def count(kind: bytes) -> int:
        nonlocal at
        end = payload.index(b"\r\n", at)
        text = payload[at:end]
        at = end + 2
        assert text[:1] == kind and text[1:] == str(int(text[1:])).encode()
        return int(text[1:])

    while at < len(payload):
        command = []
        for _ in range(count(b"*")):
            size = count(b"$")
            command.append(payload[at : at + size])
            assert payload[at + size : at + size + 2] == b"\r\n"
            at += size + 2
        found.append(command)
    return found


def outcome(function: Callable[..., Any], *args: Any) -> tuple[str, Any]:
    """The answer, or the kind of error: what two implementations must share."""
    try:
        return "answer", function(*args)
    except (TypeError, OverflowError, ValueError) as error:
        kinds = [kind for kind in (TypeError, OverflowError, ValueError) if isinstance(error, kind)]
        return "error", kinds[0].__name__


# --- Board entries ---------------------------------------------------------------------------------------


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
        (10**40, bytes(10)),
        (-(10**40), bytes(10)),
    ],
)
def test_decode_refuses_what_no_score_gives(impl: Any, zscore: int, member: bytes) -> None:
    with pytest.raises(ValueError, match=r"member|zscore"):
        impl.decode_score(zscore, member)


# --- PostgreSQL arrays -----------------------------------------------------------------------------------


def test_int8_array_golden(impl: Any) -> None:
    assert impl.pack_int8_array([]) == b"\0\0\0\0\0\0\0\0\0\0\0\x14"
    assert impl.pack_int8_array((1, -2)) == (
        b"\0\0\0\x01" b"\0\0\0\0" b"\0\0\0\x14" b"\0\0\0\x02" b"\0\0\0\x01"
        b"\0\0\0\x08" b"\0\0\0\0\0\0\0\x01"
        b"\0\0\0\x08" b"\xff\xff\xff\xff\xff\xff\xff\xfe"
    )  # fmt: skip
    assert impl.pack_int8_array([None, 7]) == (
        b"\0\0\0\x01" b"\0\0\0\x01" b"\0\0\0\x14" b"\0\0\0\x02" b"\0\0\0\x01"
        b"\xff\xff\xff\xff"
        b"\0\0\0\x08" b"\0\0\0\0\0\0\0\x07"
    )  # fmt: skip


def test_text_array_golden(impl: Any) -> None:
    assert impl.pack_text_array(()) == b"\0\0\0\0\0\0\0\0\0\0\0\x19"
    assert impl.pack_text_array(["ab", "", None, "é"]) == (
        b"\0\0\0\x01" b"\0\0\0\x01" b"\0\0\0\x19" b"\0\0\0\x04" b"\0\0\0\x01"
        b"\0\0\0\x02ab" b"\0\0\0\0" b"\xff\xff\xff\xff" b"\0\0\0\x02\xc3\xa9"
    )  # fmt: skip


@checked
@given(values=st.lists(st.none() | int64s))
def test_int8_array_is_what_postgresql_reads(impl: Any, values: list[int | None]) -> None:
    assert impl.pack_int8_array(values) == int8_array(values)


@checked
@given(values=st.lists(st.none() | users))
def test_text_array_is_what_postgresql_reads(impl: Any, values: list[str | None]) -> None:
    assert impl.pack_text_array(values) == text_array(values)


def test_arrays_equal_the_dumpers_of_psycopg(impl: Any) -> None:
    def dumped(values: list[Any]) -> Any:
        return Transformer().get_dumper(values, PyFormat.BINARY).dump(values)

    numbers: list[int | None] = [2**40, None, -(2**40), 2**62]  # Smaller ones psycopg would send as int2.
    texts = ["ann", "", None, "Zoë", "😀"]
    assert impl.pack_int8_array(numbers) == dumped(numbers)
    assert impl.pack_text_array(texts) == dumped(texts)


def test_arrays_refuse_what_postgresql_refuses(impl: Any) -> None:
    for number in (INT64_MAX + 1, INT64_MIN - 1, 10**40):
        with pytest.raises(OverflowError):
            impl.pack_int8_array([1, number])
    with pytest.raises(UnicodeEncodeError):
        impl.pack_text_array(["fine", "\ud800"])
    with pytest.raises(ValueError, match="NUL"):
        impl.pack_text_array(["fine", "a\0b"])


# --- build_apply -----------------------------------------------------------------------------------------


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
labels = st.lists(st.binary(max_size=8), max_size=3)


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


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


ONE_USER, ONE_NUMBER = text_array(["a"]), int8_array([1])


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


# --- build_load ------------------------------------------------------------------------------------------


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


ROW = copy_row(b"ann", 1, 1)


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


# --- render_items ----------------------------------------------------------------------------------------


def reply(user: str, score: int) -> list[bytes]:
    zscore, prefix = _py.encode_entry(score, 1)
    return [prefix + user.encode(), b"%d" % zscore]


def test_items_golden(impl: Any) -> None:
    replies = [*reply("ann", 5), *reply('b"o\\\x1f\n', -7)]
    assert impl.render_items(replies, 0) == (
        b'[{"userId":"ann","score":5},{"userId":"b\\"o\\\\\\u001f\\n","score":-7}]'
    )
    assert impl.render_items(tuple(replies), 9) == (
        b'[{"rank":9,"userId":"ann","score":5},{"rank":10,"userId":"b\\"o\\\\\\u001f\\n","score":-7}]'
    )
    assert impl.render_items([], 0) == impl.render_items((), 4) == b"[]"


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
spiky_text = st.text(st.sampled_from('\0\x01\x1f\x7f"\\/\b\t\n\f\ré߿ࠀ\ud7ff\ue000\uffff𐀀\U0010ffffa'), max_size=20)


@checked
@given(
    entries=st.lists(st.tuples(any_text | spiky_text, scores), max_size=20),
    first_rank=st.just(0) | st.integers(0, 2**53),
)
def test_items_equal_the_json_of_msgspec(impl: Any, entries: Any, first_rank: int) -> None:
    objects: list[dict[str, Any]] = []
    for index, (user, score) in enumerate(entries):
        rank = {"rank": first_rank + index} if first_rank else {}
        objects.append({**rank, "userId": user, "score": score})
    replies = [part for user, score in entries for part in reply(user, score)]
    rendered = impl.render_items(replies, first_rank)
    assert rendered == msgspec.json.encode(objects)
    assert json.loads(rendered) == objects


@pytest.mark.parametrize(
    ("text", "zscore"),
    [
        (b"-1500", -1500),
        (b"0", 0),
        (b"-0", 0),
        (b"1e+8", 10**8),
        (b"-4e+15", -4 * 10**15),
        (b"1.2E3", 1200),
        (b"1200e-2", 12),
        (b"12.00", 12),
        (b"0e999", 0),
        (b"0000000000000000.00", 0),
        (b"-4503599627370497", -(2**52) - 1),
        (b"4.5035996273704960e+15", 2**52),
        (b"-4.503599627370497e+15", -(2**52) - 1),
        (b"9.0050001736007680e+15", 9005000173600768),
    ],
)
def test_items_read_what_redis_prints(impl: Any, text: bytes, zscore: int) -> None:
    score = _py.decode_score(zscore, bytes(10))
    assert impl.render_items([bytes(10), text], 0) == b'[{"userId":"","score":%d}]' % score


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"-", b"+1", b"--1", b" 1", b"1 ", b"1\n", b"1\0", b"0x1", b"1_0", b"inf", b"-inf", b"nan"),
        *(b".5", b"1.", b"1.5", b"1e", b"1e+", b"1e1000", b"1e999", b"1e-1", b"12e-999", b"1.e2", b"1e2.0"),
        *(b"9007199254740993", b"1e16", b"1000000000000000000", b"0000000000000000001", b"9" * 400),
        *(b"18446744073709551616", "٣".encode()),
    ],
)
def test_items_refuse_other_numbers(impl: Any, text: bytes) -> None:
    with pytest.raises(ValueError, match="zscore"):
        impl.render_items([bytes(10), text], 0)


@pytest.mark.parametrize(
    "user",
    [
        *(
            b"\x80",
            b"\xbf",
            b"\xc0\x80",
            b"\xc1\xbf",
            b"\xc2",
            b"\xc2a",
            b"\xc2\xc2",
            b"\xe0\x9f\xbf",
            b"\xe1\x80",
        ),
        *(
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xe1\x80a",
            b"\xf0\x8f\xbf\xbf",
            b"\xf1\x80\x80",
            b"\xf1\x80\x80a",
        ),
        *(b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xfe", b"good\xe2\x82", b"\xf1\x80a\x80"),
    ],
)
def test_items_refuse_invalid_utf8(impl: Any, user: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        user.decode()
    with pytest.raises(ValueError):
        impl.render_items([bytes(10) + user, b"1"], 0)


def test_items_agree_on_every_two_and_three_byte_sequence_start(compiled: Any) -> None:
    for lead in range(0x80, 0x100):
        for second in range(0x100):
            for tail in (b"", b"\x80", b"\xbf", b"\x80\x80", b"\xbf\xbf", b"a", b"\x80a"):
                replies = [bytes(10) + bytes([lead, second]) + tail, b"1"]
                assert outcome(compiled.render_items, replies, 0) == outcome(_py.render_items, replies, 0)


def test_items_escape_every_byte_at_every_place(impl: Any) -> None:
    for code in range(0x80):
        for place in range(17):
            user = "a" * place + chr(code) + "~" * (16 - place)
            wanted = b'[{"userId":' + msgspec.json.encode(user) + b',"score":0}]'
            assert impl.render_items([bytes(10) + user.encode(), b"0"], 0) == wanted


def test_items_refuse_bad_windows(impl: Any) -> None:
    for replies, first_rank in (
        ([bytes(10)], 0),
        ([bytes(9), b"1"], 0),
        ([b"\0\x01" + bytes(8), b"1"], 0),
        (reply("a", 1), -1),
        (reply("a", 1), 2**53 + 1),
        (reply("a", 1), 10**40),
    ):
        with pytest.raises(ValueError, match=r"member|zscore|rank"):
            impl.render_items(replies, first_rank)


# --- Bad input of every kind -----------------------------------------------------------------------------


def test_wrong_types_are_type_errors(impl: Any) -> None:
    group = ((), ONE_USER, ONE_NUMBER, ONE_NUMBER)
    calls: list[tuple[Any, ...]] = [
        (impl.encode_entry, 1.0, 1),
        (impl.encode_entry, 1, None),
        (impl.decode_score, 1.0, bytes(10)),
        (impl.decode_score, 1, "0123456789"),
        (impl.decode_score, 1, bytearray(10)),
        (impl.pack_int8_array, None),
        (impl.pack_int8_array, range(3)),
        (impl.pack_int8_array, ["1"]),
        (impl.pack_int8_array, [1.0]),
        (impl.pack_text_array, "abc"),
        (impl.pack_text_array, [b"a"]),
        (impl.pack_text_array, iter(["a"])),
        (impl.build_apply, "s", [], [], []),
        (impl.build_apply, b"s", b"key", [], []),
        (impl.build_apply, b"s", ["key"], [], []),
        (impl.build_apply, b"s", [], [None], []),
        (impl.build_apply, b"s", [], [], group),
        (impl.build_apply, b"s", [], [], [list(group)]),
        (impl.build_apply, b"s", [], [], [group[:3]]),
        (impl.build_apply, b"s", [], [], [(b"ab", *group[1:])]),
        (impl.build_apply, b"s", [], [], [((), memoryview(ONE_USER), ONE_NUMBER, ONE_NUMBER)]),
        (impl.build_load, None, b"h", b"", 1),
        (impl.build_load, b"z", "h", b"", 1),
        (impl.build_load, b"z", b"h", bytearray(), 1),
        (impl.build_load, b"z", b"h", b"", 1.0),
        (impl.render_items, [bytes(10), "1"], 0),
        (impl.render_items, [bytes(10), 1.0], 0),
        (impl.render_items, [None, b"1"], 0),
        (impl.render_items, b"ab", 0),
        (impl.render_items, [], None),
    ]
    for function, *args in calls:
        with pytest.raises(TypeError):
            function(*args)


def test_subclasses_are_read_as_what_they_hold(impl: Any) -> None:
    class Shifty(list[Any]):
        """A list that would change while it is iterated by Python code."""

        def __iter__(self) -> Iterator[Any]:
            self.clear()
            return iter(())

    assert impl.pack_int8_array([True, False]) == int8_array([1, 0])
    assert impl.pack_int8_array(Shifty()) == int8_array([])
    # What it answers does not matter; that it neither crashes nor writes out of its buffer does.
    outcome(impl.pack_text_array, Shifty(["a"] * 50))
    outcome(impl.render_items, Shifty(reply("a", 1) * 50), 0)


def valid_calls() -> list[tuple[str, list[Any], list[tuple[int, ...]]]]:
    """Function, arguments, and the paths of the byte strings in them that a stranger could have damaged."""
    names = ["ann", "", "Zoë", "b" * 40, None]
    numbers = [1, INT64_MIN, INT64_MAX, 2**52, None]
    group = ((b"S",), text_array(names[:4]), int8_array([*numbers[:3], None]), int8_array([1, 2, 3, None]))
    rows = COPY_HEADER + copy_row(b"ann", 1, 1) + copy_row(b"", INT64_MIN, 2) + copy_row(b"b" * 40, 7, 3)
    window = [*reply("ann", 5), *reply("Zoë😀", INT64_MIN), *reply("\n", -(2**60)), bytes(10), b"4.5e+2"]
    return [
        ("decode_score", [-1500, bytes(10) + b"ann"], [(1,)]),
        ("build_apply", [b"sha", (b"k",), (b"h",), (group,)], [(3, 0, 1), (3, 0, 2), (3, 0, 3)]),
        ("build_load", [b"z", b"h", rows + COPY_TRAILER, 2], [(2,)]),
        ("render_items", [tuple(window), 1], [(0, index) for index in range(len(window))]),
    ]


def part_at(value: Any, path: tuple[int, ...]) -> Any:
    for index in path:
        value = value[index]
    return value


def replaced(value: Any, path: tuple[int, ...], part: bytes) -> Any:
    if not path:
        return part
    parts = list(value)
    parts[path[0]] = replaced(parts[path[0]], path[1:], part)
    return type(value)(parts)


def answer_is_well_formed(name: str, answer: Any) -> None:
    if name == "build_apply":
        assert len(commands_of(answer)) == 1
    elif name == "build_load":
        assert len(commands_of(answer[0])) == answer[1]
    elif name == "render_items":
        json.loads(answer)


@pytest.mark.parametrize(("name", "args", "paths"), valid_calls(), ids=lambda value: str(value)[:12])
def test_truncated_input_is_refused_or_makes_sense(impl: Any, name: str, args: Any, paths: Any) -> None:
    function = getattr(impl, name)
    answer_is_well_formed(name, function(*args))
    for path in paths:
        whole = part_at(args, path)
        for size in range(len(whole)):
            kind, answer = outcome(function, *replaced(args, path, whole[:size]))
            assert kind == "answer" or answer == "ValueError"
            if kind == "answer":
                answer_is_well_formed(name, answer)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "args", "paths"), valid_calls(), ids=lambda value: str(value)[:12])
def test_damaged_input_is_refused_or_makes_sense(name: str, args: Any, paths: Any, seed: int) -> None:
    implementations = [_py, load("c")]
    dice = random.Random(seed)

    def damage(data: bytes) -> bytes:
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 3)):
            action = dice.randrange(4)
            at = dice.randrange(len(damaged)) if damaged else 0
            if action == 0 and damaged:
                damaged[at] ^= 1 << dice.randrange(8)
            elif action == 1 and damaged:
                damaged[at] = dice.choice([0, 1, 3, 8, 0x7F, 0x80, 0xFF])
            elif action == 2:
                damaged[at:at] = dice.randbytes(dice.randint(1, 4))
            else:
                del damaged[at : at + dice.randint(1, 4)]
        return bytes(damaged)

    for _ in range(500):
        path = dice.choice(paths)
        broken = replaced(args, path, damage(part_at(args, path)))
        answers = [outcome(getattr(module, name), *broken) for module in implementations]
        assert answers[0] == answers[1], (seed, broken)
        kind, answer = answers[0]
        assert kind == "answer" or answer == "ValueError"
        if kind == "answer":
            answer_is_well_formed(name, answer)


# --- The twin and the compiled kernels -------------------------------------------------------------------

odd_integers = int64s | scores | st.integers()
array_bytes = st.binary(max_size=60) | st.lists(st.none() | users).map(text_array) | st.lists(
    st.none() | int64s
).map(int8_array)  # fmt: skip
redis_numbers = (
    scores.map(lambda score: b"%d" % _py.encode_entry(score, 0)[0])
    | scores.map(lambda score: b"%.17g" % _py.encode_entry(score, 0)[0])
    | scores.map(lambda score: b"%.16e" % _py.encode_entry(score, 0)[0])
    | st.text("0123456789.eE+-", max_size=24).map(str.encode)
    | st.from_regex(rb"-?[0-9]{1,19}(\.[0-9]{1,19})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
)
members = st.builds(
    lambda score, tail: _py.encode_entry(score, 1)[1] + tail, scores, st.binary(max_size=8)
) | st.builds(lambda user: bytes(10) + user.encode(), any_text)


@checked
@given(
    entry=st.tuples(odd_integers, odd_integers),
    decode=st.tuples(odd_integers, members | st.binary(max_size=12)),
    numbers=st.lists(st.none() | odd_integers | st.booleans()),
    texts=st.lists(st.none() | st.text(max_size=8)),
)
def test_both_agree_on_entries_and_arrays(compiled: Any, entry: Any, decode: Any, numbers: Any, texts: Any) -> None:
    for name, args in (
        ("encode_entry", entry),
        ("decode_score", decode),
        ("pack_int8_array", (numbers,)),
        ("pack_text_array", (texts,)),
    ):
        assert outcome(getattr(compiled, name), *args) == outcome(getattr(_py, name), *args)


@checked
@given(groups=st.lists(st.tuples(labels, array_bytes, array_bytes, array_bytes), max_size=3))
def test_both_agree_on_apply(compiled: Any, groups: Any) -> None:
    args = (b"sha", [b"key"], [b"1"], groups)
    assert outcome(compiled.build_apply, *args) == outcome(_py.build_apply, *args)


@checked
@given(
    piece=st.lists(
        st.sampled_from([COPY_HEADER, COPY_TRAILER, ROW])
        | st.builds(copy_row, st.binary(max_size=200), scores, int64s)
        | st.binary(max_size=3),
        max_size=8,
    ).map(b"".join),
    pairs=st.integers(-1, 5) | st.integers(),
)
def test_both_agree_on_load(compiled: Any, piece: bytes, pairs: int) -> None:
    assert outcome(compiled.build_load, b"z", b"h", piece, pairs) == outcome(_py.build_load, b"z", b"h", piece, pairs)


@settings(deadline=None, max_examples=800)
@given(
    replies=st.lists(st.tuples(members, redis_numbers), max_size=4),
    first_rank=st.integers(0, 99) | odd_integers,
)
def test_both_agree_on_items(compiled: Any, replies: Any, first_rank: int) -> None:
    flat = [part for pair in replies for part in pair]
    assert outcome(compiled.render_items, flat, first_rank) == outcome(_py.render_items, flat, first_rank)


def test_a_large_batch_outgrows_every_first_guess(compiled: Any) -> None:
    count = 20_000
    names = [f"player-{index}" * (1 + index % 9) for index in range(count)]
    points = [(-1) ** index * index**4 for index in range(count)]
    group = ([b"S"], text_array(names), int8_array(points), int8_array(range(count)))
    rows = b"".join(map(copy_row, map(str.encode, names), points, range(count)))
    window = [part for name, score in zip(names, points, strict=True) for part in reply("\x01" + name, score)]
    for name, args in (
        ("build_apply", (b"sha", [b"k" * 5000], [], [group, group])),
        ("build_load", (b"z" * 5000, b"h", rows, 3000)),
        ("build_load", (b"z", b"h", rows, count * 2)),
        ("render_items", (window, 1)),
        ("pack_text_array", (names,)),
        ("pack_int8_array", (points,)),
    ):
        assert getattr(compiled, name)(*args) == getattr(_py, name)(*args)


def test_the_compiled_kernels_give_all_memory_back(compiled: Any) -> None:
    big = "u" * 200_000
    users_array, ones, bad = text_array([big, big]), int8_array([1, 1]), int8_array([1, -1])
    calls: list[tuple[Any, ...]] = [
        (compiled.pack_text_array, [big]),
        (compiled.pack_text_array, [big, "\0"]),
        (compiled.pack_text_array, [big, 1]),
        (compiled.pack_int8_array, [1] * 20_000),
        (compiled.pack_int8_array, [1] * 20_000 + [2**64]),
        (compiled.build_apply, b"s", [], [], [((), users_array, ones, ones)]),
        (compiled.build_apply, b"s", [], [], [((), users_array, ones, bad)]),
        (compiled.build_apply, b"s", [], [], [((), users_array, ones, ones), None]),
        (compiled.build_load, b"z", b"h", copy_row(big.encode(), 1, 1), 1),
        (compiled.build_load, b"z", b"h", copy_row(big.encode(), 1, 1) + b"\0", 1),
        (compiled.render_items, reply(big, 1), 1),
        (compiled.render_items, [*reply(big, 1), bytes(10) + b"\xff", b"0"], 1),
        (compiled.encode_entry, 2**80, 0),
        (compiled.decode_score, 1, b"short"),
    ]

    def round_of_calls() -> None:
        for function, *args in calls:
            outcome(function, *args)

    tracemalloc.start()
    try:
        for _ in range(3):
            round_of_calls()
        gc.collect()
        before, references = tracemalloc.get_traced_memory()[0], sys.getrefcount(users_array)
        for _ in range(100):
            round_of_calls()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # One buffer that is forgotten once per round would be 20 MB.
    assert after - before < 50_000
    assert sys.getrefcount(users_array) == references


# --- The choice ------------------------------------------------------------------------------------------


def run_python(code: str, wanted: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "LEADERBOARD_IMPL"}
    if wanted is not None:
        environment["LEADERBOARD_IMPL"] = wanted
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


SHOW = "import _speedups; print(_speedups.IMPLEMENTATION, _speedups.render_items.__module__)"
HIDE = "import sys; sys.modules['_speedups._c'] = None; "


@pytest.mark.parametrize("wanted", [None, "", "auto", "c"])
def test_the_compiled_kernels_are_taken_when_they_are_there(compiled: Any, wanted: str | None) -> None:
    assert run_python(SHOW, wanted).stdout == "c _speedups._c\n"


def test_the_twin_can_be_chosen() -> None:
    assert run_python(SHOW, "python").stdout == "python _speedups._py\n"


def test_without_compiled_kernels_the_twin_runs() -> None:
    assert run_python(HIDE + SHOW, None).stdout == "python _speedups._py\n"


def test_insisting_on_missing_kernels_is_a_clear_error() -> None:
    result = run_python(HIDE + SHOW, "c")
    assert result.returncode == 1
    assert "ImportError: LEADERBOARD_IMPL=c, but the compiled kernels cannot be loaded" in result.stderr


def test_an_unknown_choice_is_a_clear_error() -> None:
    result = run_python(SHOW, "fast")
    assert result.returncode == 1
    assert "ValueError: LEADERBOARD_IMPL must be auto, c or python, not 'fast'" in result.stderr


def test_both_export_the_same_names(compiled: Any) -> None:
    import _speedups

    for name in set(_speedups.__all__) - {"IMPLEMENTATION"}:
        assert callable(getattr(compiled, name)) and callable(getattr(_py, name))
