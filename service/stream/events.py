"""Events of a stream as bytes (Server-Sent Events of the HTML standard), and the difference of two lists."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from service.contract.spelling import spell
from service.stream.types import Change, Shown, Unavailable

HEARTBEAT: Final = b":\n\n"
"""A comment: it keeps proxies from closing a stream without changes."""

_encode: Final = msgspec.json.Encoder().encode


def write_event(name: bytes, data: Any, as_of: str | None = None, *, spelled: bool = False) -> bytes:
    """One event; `spelled`: its numbers of 64 bits are texts.

    JSON has no line break, nor has the state of a board, so neither can end it early.
    """
    if spelled:
        data = spell(msgspec.json.decode(data) if isinstance(data, bytes) else msgspec.to_builtins(data))
    line = b"" if as_of is None else b"id: %b\n" % as_of.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (line, name, data if isinstance(data, bytes) else _encode(data))


def write_retry(milliseconds: int) -> bytes:
    """Tell the client after how long to connect again when the stream has ended."""
    return b"retry: %d\n\n" % milliseconds


def write_snapshot(shown: Shown, limit: int, *, spelled: bool = False) -> bytes:
    """The first `limit` rows of a list."""
    first = msgspec.structs.replace(shown, items=shown.items[:limit])
    return write_event(b"snapshot", first, shown.asOf, spelled=spelled)


def write_change(before: Shown, after: Shown, limit: int, *, spelled: bool = False) -> bytes:
    """The change of the first `limit` rows of a list."""
    return write_event(b"change", find_change(before.items[:limit], after, limit), after.asOf, spelled=spelled)


def write_unavailable(code: str) -> bytes:
    """The board cannot be read; the stream goes on."""
    return write_event(b"unavailable", Unavailable(code))


def find_change(old: list[dict[str, Any]], after: Shown, limit: int) -> Change:
    """The change from these rows to the first `limit` of a list."""
    new = after.items[:limit]
    rows = [{"position": at + 1, **row} for at, row in enumerate(new) if at >= len(old) or old[at] != row]
    present = {row["userId"] for row in new}
    left = [row["userId"] for row in old if row["userId"] not in present]
    return Change(rows, left, after.total, after.asOf)
