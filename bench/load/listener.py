"""One client of a stream of the bench: it keeps the list that the events describe, at little cost."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

CLOCK: Final = "clock"
"""The player whose score tells when it was submitted."""
BASE: Final = 10**12
"""The score of the clock at the start: it is the best player of every board, and so in every list."""
KEPT_MOST: Final = 256
LATEST_MS: Final = 60_000

Rows = list[dict[str, Any]]
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Board:
    """What the listeners of a board share. Times in microseconds of the loop's clock.

    `sent` are those of its marks. `delays` counts, over all boards, milliseconds from a mark's time until a listener
    had it. PERF: equal bytes for equal lists are taken once.
    """

    def __init__(self, season: str, delays: list[int]) -> None:
        self.season: Final = season
        self.sent: Final[list[int]] = []
        self.delays: Final = delays
        self._taken: Final[dict[tuple[int, bytes], tuple[Rows, Rows, str, int]]] = {}

    def take(self, rows: Rows, block: bytes) -> tuple[Rows, str, int]:
        """The list after an event, its state, and the time of its clock (0: none)."""
        key = (id(rows), block)
        held = self._taken.get(key)
        if held is None:
            if len(self._taken) >= KEPT_MOST:
                self._taken.clear()
            name, data = read_event(block)
            after = data["items"] if name == b"snapshot" else apply_change(rows, data)
            told = next((row["score"] - BASE for row in after if row["userId"] == CLOCK), 0)
            # The list before is kept, so that no other one gets its id.
            held = self._taken[key] = (rows, after, data["asOf"], told)
        return held[1:]

    def note_delays(self, before: int, told: int, now: int) -> None:
        """A listener that had the mark of `before` has that of `told`, and all between."""
        for sent in self.sent[bisect_right(self.sent, before) : bisect_right(self.sent, told)]:
            self.delays[min(max(0, (now - sent) // 1_000), LATEST_MS)] += 1


def read_event(block: bytes) -> tuple[bytes, dict[str, Any]]:
    """Name and data of an event."""
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
    return fields[b"event"], _decode(fields[b"data"])


def apply_change(rows: Rows, change: dict[str, Any]) -> Rows:
    """The list after a change. Raises KeyError for one that leaves a gap."""
    gone = {*change["left"], *(row["userId"] for row in change["rows"])}
    places = {at: row for at, row in enumerate(rows, 1) if row["userId"] not in gone}
    for row in change["rows"]:
        places[row["position"]] = {name: value for name, value in row.items() if name != "position"}
    return [places[at] for at in range(1, len(places) + 1)]


class Listener(asyncio.Protocol):
    """One stream. `on_first` is called for its first event, for an answer that is not one, and at its end."""

    def __init__(self, board: Board, request: bytes, on_first: Callable[[], None]) -> None:
        self.board: Final = board
        self.rows: Rows = []
        self.as_of = ""
        self.events = 0
        self.refused = 0
        """The status of an answer that is no stream."""
        self.problem = ""
        self.ended = False
        self.transport: asyncio.Transport
        self._request: Final = request
        self._on_first: Final = on_first
        self._loop: Final = asyncio.get_running_loop()
        self._told = 0
        self._buffer = b""
        self._head = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if self._head:
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            if (status := int(head[9:12])) != 200:
                sizes = [
                    line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"
                ]
                if len(buffer) < int(sizes[0] if sizes else 0):
                    # The problem is still on its way.
                    self._buffer = head + found + buffer
                    return
                self.refused = status
                self.problem = buffer.decode(errors="replace")
                self._on_first()
                self.transport.close()
                return
            self._head = False
        while (end := buffer.find(b"\r\n")) > 0:
            size = int(buffer[:end], 16)
            piece = end + 2 + size
            if len(buffer) < piece + 2:
                break
            self._take(buffer[end + 2 : piece])
            buffer = buffer[piece + 2 :]
        self._buffer = buffer

    def _take(self, piece: bytes) -> None:
        now = int(self._loop.time() * 1e6)
        for block in piece.split(b"\n\n"):
            if b"event: snapshot" not in block and b"event: change" not in block:
                continue
            self.rows, self.as_of, told = self.board.take(self.rows, block)
            self.events += 1
            if told != self._told:
                # The first list is of marks from before this listener.
                if self.events > 1:
                    self.board.note_delays(self._told, told, now)
                self._told = told
            if self.events == 1:
                self._on_first()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._on_first()
