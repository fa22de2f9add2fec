"""From bytes to a call of a kernel and back: what the fuzzer mutates, what the corpus holds.

The first byte names the kernel; set its top bit, and the arguments are objects of any type, else they have the right
types. Lists and byte strings begin with their length. What is missing at the end is empty or zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

from support.full_parser import find_disagreements

NAMES: Final = (
    "encode_entry",
    "decode_score",
    "pack_int8_array",
    "pack_text_array",
    "build_apply",
    "build_load",
    "render_items",
    "split_request",
    "build_segments",
)
WILD: Final = 0x80
_ARGUMENTS: Final = {
    "encode_entry": 2,
    "decode_score": 2,
    "build_apply": 4,
    "build_load": 4,
    "build_segments": 4,
    "render_items": 4,
}


class _Bytes(bytes):
    """A subclass: kernels may take it, and must not be surprised."""


class _Int(int):
    """The same for numbers."""


def unsigned(piece: bytes) -> int:
    """Big-endian; 0 for nothing. `int.from_bytes` makes 0 from a digit that nobody has written: valgrind tells."""
    return int(piece.hex() or "0", 16)


class Cursor:
    """Reads a byte string piece by piece, never past its end."""

    def __init__(self, data: bytes) -> None:
        self._data: Final = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))

    def byte(self) -> int:
        """0 to 255; 0 at the end."""
        return unsigned(self.take(1))

    def number(self) -> int:
        """Any int64, and now and then one beyond."""
        piece = self.take(self.byte() % 12)
        return unsigned(piece) - ((1 << 8 * len(piece)) if piece and piece[0] & 0x80 else 0)

    def field(self) -> bytes:
        """A byte string after its length in two bytes."""
        return self.take(unsigned(self.take(2)))

    def text(self) -> str:
        """A string, lone surrogates and NUL included."""
        return self.field().decode("utf-8", "surrogateescape")

    def many(self, one: Callable[[], Any]) -> list[Any]:
        """A list after its length in one byte."""
        return [one() for _ in range(self.byte())]

    def anything(self, depth: int = 0) -> Any:
        """An object of some type."""
        kinds: tuple[Callable[[], Any], ...] = (
            lambda: None,
            self.number,
            self.field,
            self.text,
            lambda: _Bytes(self.field()),
            lambda: _Int(self.number()),
            lambda: bytearray(self.field()),
            lambda: self.byte() / 7,
            lambda: self.byte() > 127,
            lambda: [] if depth > 3 else [self.anything(depth + 1) for _ in range(self.byte() % 8)],
            lambda: () if depth > 3 else tuple(self.anything(depth + 1) for _ in range(self.byte() % 8)),
        )
        return kinds[self.byte() % len(kinds)]()


def call_of(data: bytes) -> tuple[str, tuple[Any, ...], bool]:
    """The kernel, its arguments, and whether they have the right types."""
    cursor = Cursor(data)
    first = cursor.byte()
    name = NAMES[(first & ~WILD) % len(NAMES)]
    if first & WILD:
        return name, tuple(cursor.anything() for _ in range(_ARGUMENTS.get(name, 1))), False
    return name, _sound(name, cursor), True


def _sound(name: str, cursor: Cursor) -> tuple[Any, ...]:
    if name == "encode_entry":
        return cursor.number(), cursor.number()
    if name == "decode_score":
        return cursor.number(), cursor.rest()
    if name == "pack_int8_array":
        return (cursor.many(lambda: None if cursor.byte() == 255 else cursor.number()),)
    if name == "pack_text_array":
        return (cursor.many(lambda: None if cursor.byte() == 255 else cursor.text()),)
    if name == "build_apply":
        groups = cursor.many(lambda: _group(cursor))
        return cursor.field(), cursor.many(cursor.field), cursor.many(cursor.field), groups
    if name in ("build_load", "build_segments"):
        return cursor.field(), cursor.field(), cursor.field(), cursor.number()
    if name == "split_request":
        return (cursor.rest(),)
    return cursor.many(cursor.field), cursor.number(), bool(cursor.byte() & 1), cursor.number()


def _group(cursor: Cursor) -> tuple[Any, ...]:
    """A group of `build_apply`; with more than three labels it has columns."""
    labels = cursor.many(cursor.field)
    return labels, *(cursor.field() for _ in range(4 if len(labels) > 3 else 3))


KINDS: Final = (TypeError, OverflowError, ValueError)


def outcome(module: ModuleType, name: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """What a call answers, or the kind of its error. Any other error is let through: it is a finding."""
    try:
        return "answer", getattr(module, name)(*arguments)
    except KINDS as error:
        return "error", next(kind.__name__ for kind in KINDS if isinstance(error, kind))


def differences(one: ModuleType, other: ModuleType, data: bytes) -> Iterator[str]:
    """How two implementations differ about one input, or a full parser from both; nothing when they agree.

    With wrong types several things are wrong at once, and which is named first is nobody's promise.
    """
    name, arguments, sound = call_of(data)
    first, second = outcome(one, name, arguments), outcome(other, name, arguments)
    if first != second and (sound or "answer" in (first[0], second[0])):
        yield f"{name}{arguments!r}: {first!r} is not {second!r}"
    if name == "split_request" and first[0] == "answer" and first[1] is not None:
        yield from find_disagreements(bytes(arguments[0]), first[1])
