"""Events of a stream as bytes (Server-Sent Events of the HTML standard), and the difference of two lists."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from service.stream.types import Change, Shown, Unavailable

HEARTBEAT: Final = b":\n\n"
"""A comment: it keeps proxies from closing a stream without changes."""

_encode: Final = msgspec.json.Encoder().encode


def write_event(name: bytes, data: Any, as_of: str | None = None) -> bytes:
    """One event. JSON has no line break, nor has the state of a board, so neither can end it early."""
    line = b"" if as_of is None else b"id: %b\n" % as_of.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (line, name, data if isinstance(data, bytes) else _encode(data))


def write_retry(milliseconds: int) -> bytes:
    """Tell the client after how long to connect again when the stream has ended."""
    return b"retry: %d\n\n" % milliseconds


def write_snapshot(shown: Shown, limit: int) -> bytes:
    """The first `limit` rows of a list."""
    return write_event(b"snapshot", msgspec.structs.replace(shown, items=shown.items[:limit]), shown.asOf)


def write_change(before: Shown, after: Shown, limit: int) -> bytes:
    """The change of the first `limit` rows of a list."""
    return write_event(b"change", find_change(before.items[:limit], after, limit), after.asOf)


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
