"""Reading events."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from board.pg.read_connection import ReadConnection
from service.contract.answers import Answer
from service.contract.problems import Rejected, add_problem
from service.events.types import ID_TEXT, Event, EventData, EventKind, EventList

INVALID_AFTER: Final = add_problem(
    "invalid-after", 400, "after must be the id of an event.", "`after` is not the `id` or `nextCursor` of an answer."
)

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(EventData).decode
_ID: Final = re.compile(ID_TEXT)


class EventFeed:
    """The events of one worker. Reads raise `StoreUnavailable` and `ServerUnreachable`."""

    def __init__(self, reads: ReadConnection) -> None:
        self._read: Final = reads.read

    async def list_events(self, after: str | None, limit: int, kind: EventKind | None) -> Answer:
        """List `limit` events after the one with the id `after` (`EventList`, 200)."""
        history, xid, number = (after or "0-0-0").split("-")
        place = {"history": int(history), "xid": xid, "number": int(number)}
        rows = await self._read("events", {**place, "limit": limit, "kind": kind})
        items = [make_event(row) for row in rows]
        return Answer(200, _encode(EventList(items, items[-1].id if items else after)))


def make_event(row: Any) -> Event:
    """An event of a row of the query `events`."""
    history, xid, number, at, kind, season, period, data = row
    return Event(f"{history}-{xid}-{number}", at, kind, season, period, _decode(data))


def parse_after(text: str | None) -> str | None:
    """The id of an event; None for none. Raises `Rejected`."""
    if text is not None and not _ID.fullmatch(text):
        raise Rejected(INVALID_AFTER.answer)
    return text
