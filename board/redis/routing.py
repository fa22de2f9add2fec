"""The key of a command, by which a cluster finds its node."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from board.redis.topology.layout import slot_of, tag_of

_SCRIPTS: Final = (b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO")
_KEYLESS: Final = frozenset({b"CLIENT", b"CLUSTER", b"HELLO", b"INFO", b"PING", b"SCRIPT", b"TIME"})


def key_of(args: Sequence[bytes | str | int | float]) -> bytes | None:
    """The first key of a command with these arguments; None for a command without keys.

    Scripts have the digest or source, and the number of keys, before the first key; other commands nothing.
    """
    name = _bytes(args[0]).upper()
    if name in _KEYLESS:
        return None
    at = 3 if name in _SCRIPTS else 1
    return _bytes(args[at]) if len(args) > at else None


def key_in(command: bytes) -> bytes | None:
    """The first key of a packed command; None for a command without keys."""
    # A header of the array, then a header and a text for each argument. Keys and names have no line ends.
    return key_of(command.split(b"\r\n", 9)[2::2])


@lru_cache(1_024)
def _slot(tag: bytes) -> int:
    return slot_of(tag)


def find_slot(key: bytes) -> int:
    """The slot of a key. PERF: a process uses few tags, and they are remembered."""
    return _slot(tag_of(key))


def _bytes(value: bytes | str | int | float) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
