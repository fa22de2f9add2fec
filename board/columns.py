"""Columns of runs as PostgreSQL and Redis keep them, and the entries of boards that have them.

Packed columns have 8 bytes each: the greater bytes are the better run. A member of a board has them inverted, since it
is the better the less it is:

    low (2) | first column (8) | 0xff | further columns (8 each) | reached (8) | user id

No text in UTF-8 has the byte 0xff, and without columns the user id begins in its place. So a reader that expects the
other kind of member, also one of an older release, finds out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from _speedups import decode_score, encode_entry
from board.season import Column, turn

_SIGN: Final = 1 << 63
_SIGNED: Final = re.compile(r"[<>]\w+", re.ASCII)
_INVERTED: Final = bytes(range(255, -1, -1))
_BARE: Final = 10
"""The length of the part before the user id, in a member without columns."""


def sign_columns(columns: Sequence[Column]) -> str | None:
    """Columns as PostgreSQL and the marks of boards name them: `<time>moves`, `<` for `asc`. None: there are none."""
    return "".join((">" if column.order == "desc" else "<") + column.name for column in columns) or None


@lru_cache(4_096)
def read_columns(signed: str | None) -> tuple[Column, ...]:
    """The columns of a text of `sign_columns`."""
    return tuple(Column(text[1:], "desc" if text[0] == ">" else "asc") for text in _SIGNED.findall(signed or ""))


def pack_columns(columns: Sequence[Column], values: Sequence[int]) -> bytes:
    """The packed values of a run's columns."""
    turned = [turn(value, column.order) for column, value in zip(columns, values, strict=True)]
    return struct.pack(f">{len(turned)}Q", *(number + _SIGN for number in turned))


def unpack_columns(columns: Sequence[Column], packed: bytes) -> dict[str, int]:
    """The values of packed columns, by name. Raises `ValueError` for those of other columns."""
    if len(packed) != 8 * len(columns):
        raise ValueError("the bytes are those of other columns")
    numbers = struct.unpack(f">{len(columns)}Q", packed)
    return {column.name: turn(number - _SIGN, column.order) for column, number in zip(columns, numbers, strict=True)}


class Entry(NamedTuple):
    """A member of a board: its parts, `columns` packed (empty: it has none)."""

    prefix: bytes
    columns: bytes
    reached: int
    user: bytes

    def read_score(self, zscore: int) -> int:
        """The score as it is stored. Raises `ValueError` if no score gives this zscore and member."""
        return decode_score(zscore, self.prefix)


def measure_prefix(columns: int) -> int:
    """The length of the part of a member before the user id, by the number of columns."""
    return _BARE + 8 * columns + (columns > 0)


def measure_run(columns: int) -> int:
    """The length of the part of a member that equal runs have in common, by the number of columns."""
    return measure_prefix(columns) - 8


class _Layout(NamedTuple):
    """How the columns of a member are read: as unsigned numbers, each with a name, an offset and a factor."""

    numbers: struct.Struct
    size: int
    terms: tuple[tuple[str, int, int], ...]


@lru_cache(4_096)
def _layout_of(columns: tuple[Column, ...]) -> _Layout:
    numbers = struct.Struct(f">2xQx{len(columns) - 1}Q")
    # Inverted in the member: the numbers fall where the highest is first.
    terms = [(one.name, _SIGN - 1, -1) if one.order == "desc" else (one.name, -_SIGN, 1) for one in columns]
    return _Layout(numbers, measure_prefix(len(columns)), tuple(terms))


Stripped = tuple[bytes, dict[str, int]]
"""A member as it would be without columns, and the values of its columns by name."""


def strip_columns(members: Sequence[bytes], columns: tuple[Column, ...]) -> list[Stripped]:
    """Take these columns, at least one, from members. Raises `ValueError` for another kind of member.

    PERF: once for each row that a reader shows.
    """
    layout = _layout_of(columns)
    unpack, size, found = layout.numbers.unpack_from, layout.size, []
    for member in members:
        if len(member) < size or member[_BARE] != 0xFF:
            raise ValueError("the member is one of another rule")
        pairs = zip(layout.terms, unpack(member), strict=True)
        values = {name: offset + factor * number for (name, offset, factor), number in pairs}
        found.append((member[:2] + member[size - 8 :], values))
    return found


def make_entry(score: int, reached: int, columns: bytes = b"") -> tuple[int, bytes]:
    """The zscore and the part of the member before the user id, of a row as PostgreSQL keeps it.

    `reached` is the number of a submission. Raises `OverflowError`.
    """
    zscore, prefix = encode_entry(score, reached)
    if not columns:
        return zscore, prefix
    inverted = columns.translate(_INVERTED)
    return zscore, prefix[:2] + inverted[:8] + b"\xff" + inverted[8:] + prefix[2:]


def split_member(member: bytes, columns: int) -> Entry:
    """The parts of a member with this number of columns. Raises `ValueError` for another kind of member."""
    size = measure_prefix(columns)
    if len(member) < size or (columns and member[_BARE] != 0xFF):
        raise ValueError("the member is one of another rule")
    prefix = member[:size]
    inverted = prefix[2:10] + prefix[11:-8] if columns else b""
    return Entry(prefix, inverted.translate(_INVERTED), int.from_bytes(prefix[-8:], "big"), member[size:])
