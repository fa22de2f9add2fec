"""`render_items`: replies of Redis become JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kernels import any_text, checked, outcome, reply, scores

from _speedups import _py


def test_items_golden(impl: Any) -> None:
    replies = [*reply("ann", 5), *reply('b"o\\\x1f\n', -7)]
    assert impl.render_items(replies, 0) == (
        b'[{"userId":"ann","score":5},{"userId":"b\\"o\\\\\\u001f\\n","score":-7}]'
    )
    assert impl.render_items(tuple(replies), 9) == (
        b'[{"rank":9,"userId":"ann","score":5},{"rank":10,"userId":"b\\"o\\\\\\u001f\\n","score":-7}]'
    )
    assert impl.render_items([], 0) == impl.render_items((), 4) == b"[]"


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


@checked
@given(
    entries=st.lists(
        st.tuples(any_text, st.sampled_from([-(2**63), 2**63 - 1, 2**60, 2**60 + 1, -1, 0, 1])), max_size=20
    ),
    first_rank=st.just(0) | st.integers(1, 2**53 - 20),
    turned=st.booleans(),
    shared_rank=st.just(0) | st.integers(1, 2**53),
)
def test_items_have_complements_and_shared_ranks(
    impl: Any, entries: Any, first_rank: int, turned: bool, shared_rank: int
) -> None:
    objects: list[dict[str, Any]] = []
    shown = shared_rank
    for index, (user, score) in enumerate(entries):
        if not shared_rank or (index and score != entries[index - 1][1]):
            shown = first_rank + index
        rank = {"rank": shown} if first_rank else {}
        objects.append({**rank, "userId": user, "score": -score - 1 if turned else score})
    replies = [part for user, score in entries for part in reply(user, score)]
    assert impl.render_items(replies, first_rank, turned, shared_rank) == msgspec.json.encode(objects)


@pytest.mark.parametrize(
    ("turned", "shared_rank", "error"),
    [(0, 0, TypeError), (None, 0, TypeError), (True, None, TypeError), (True, 1.0, TypeError)]
    + [(False, rank, ValueError) for rank in (-1, 2**53 + 1, 2**70)],
)
def test_items_refuse_other_turns_and_ranks(impl: Any, turned: Any, shared_rank: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        impl.render_items([], 1, turned, shared_rank)


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
