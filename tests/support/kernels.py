"""What the tests of the kernels share: strategies, and small readers and writers of their own."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from _speedups import _py
from support.absent import absent

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


# --- Bytes, written and read by the tests themselves


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


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def reply(user: str, score: int) -> list[bytes]:
    zscore, prefix = _py.encode_entry(score, 1)
    return [prefix + user.encode(), b"%d" % zscore]


ONE_USER, ONE_NUMBER = text_array(["a"]), int8_array([1])
ROW = copy_row(b"ann", 1, 1)

# --- Strategies

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
labels = st.lists(st.binary(max_size=8), max_size=3)
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
