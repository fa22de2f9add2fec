"""The twin is the specification: the compiled kernels agree with it about everything."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.kernels import (
    COPY_HEADER,
    COPY_TRAILER,
    ROW,
    array_bytes,
    checked,
    copy_row,
    int8_array,
    int64s,
    labels,
    members,
    odd_integers,
    outcome,
    redis_numbers,
    reply,
    scores,
    text_array,
)

from _speedups import _py


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


@settings(deadline=None, max_examples=200)
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


def test_both_export_the_same_names(compiled: Any) -> None:
    import _speedups

    for name in set(_speedups.__all__) - {"IMPLEMENTATION"}:
        assert callable(getattr(compiled, name)) and callable(getattr(_py, name))
