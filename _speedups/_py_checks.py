"""What the pure-Python twin checks: the types of arguments, and fields of byte strings."""

from __future__ import annotations

from collections.abc import Sequence


class Reader:
    """Big-endian fields of a byte string, read in order; a read past the end is a `ValueError`."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._at = 0

    def malformed(self) -> ValueError:
        """The error of input that is not as it should be."""
        return ValueError(f"{self._name}: malformed near byte {self._at}")

    def at_end(self) -> bool:
        """Whether all has been read."""
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size < 0 or size > len(self._data) - self._at:
            raise self.malformed()
        self._at += size
        return self._data[self._at - size : self._at]

    def int16(self) -> int:
        """The next signed number of two bytes."""
        return int.from_bytes(self.take(2), "big", signed=True)

    def int32(self) -> int:
        """The next signed number of four bytes."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def field(self) -> bytes | None:
        """The bytes after a length; `None` (NULL) for length -1."""
        size = self.int32()
        return None if size == -1 else self.take(size)


def check_bytes(value: bytes, name: str) -> None:
    """Raise `TypeError` unless the value is bytes."""
    if not isinstance(value, bytes):
        raise TypeError(f"{name} must be bytes, not {type(value).__name__}")


def check_int(value: int, name: str) -> None:
    """Raise `TypeError` unless the value is an int."""
    if not isinstance(value, int):
        raise TypeError(f"{name} must be int, not {type(value).__name__}")


def check_sequence(value: object, name: str) -> None:
    """Raise `TypeError` unless the value is a list or a tuple."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a list or tuple, not {type(value).__name__}")


def all_bytes(values: Sequence[bytes], name: str) -> Sequence[bytes]:
    """The values. Raises `TypeError` unless they are a list or tuple of bytes."""
    check_sequence(values, name)
    for value in values:
        check_bytes(value, name)
    return values
