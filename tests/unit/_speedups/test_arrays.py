"""Arrays for PostgreSQL: the bytes that it reads, and nothing that it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from support.kernels import INT64_MAX, INT64_MIN, checked, int8_array, int64s, text_array, users


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
