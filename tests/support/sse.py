"""A client of a stream, as the HTML standard reads one; it keeps the list that the events describe."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec

from support.waiting import PATIENCE_S


class Event(msgspec.Struct, frozen=True):
    """One event: its name, its data, and the last id that was sent."""

    name: str
    data: Any
    id: str


class EventStream:
    """A stream of a season's board. `headers` are more lines of the request.

    A small receive buffer (`buffer` bytes) makes a client that does not read felt soon.
    """

    def __init__(
        self, port: int, season: str, query: str = "limit=5", headers: tuple[str, ...] = (), buffer: int = 0
    ) -> None:
        self.socket: Final = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        lines = (f"GET /v1/seasons/{quote(season)}/leaderboard/stream?{query} HTTP/1.1", "Host: t", *headers)
        self.socket.sendall("\r\n".join((*lines, "", "")).encode())
        self._read = self.socket.makefile("rb")
        self.status = int(self._read.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._read.readline().strip():
            name, _, value = line.decode().partition(": ")
            self.headers[name] = value
        self.rows: list[dict[str, Any]] = []
        self.total = 0
        self.around: dict[str, Any] | None = None
        self.failure: str | None = None
        self.retry_ms: int | None = None
        self.beats = 0
        self.id = ""
        self.events: list[Event] = []
        self._text = b""
        self.ended = False

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._read.close()
        self.socket.close()

    def take(self) -> Event | None:
        """The next event; None at the end of the stream. Heartbeats and `retry` are counted and passed over."""
        while True:
            while b"\n\n" not in self._text:
                piece = self._chunk()
                if not piece:
                    self.ended = True
                    return None
                self._text += piece
            block, _, self._text = self._text.partition(b"\n\n")
            event = self._parse(block.decode())
            if event is not None:
                self.events.append(event)
                self._apply(event)
                return event

    def _chunk(self) -> bytes:
        size = int(self._read.readline() or b"0", 16)
        piece = self._read.read(size)
        self._read.readline()
        return piece

    def _parse(self, block: str) -> Event | None:
        name, data = "message", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "id":
                self.id = value
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "retry":
                self.retry_ms = int(value)
            elif field == "":
                self.beats += 1
        return Event(name, json.loads("\n".join(data)), self.id) if data else None

    def _apply(self, event: Event) -> None:
        data = event.data
        if event.name == "snapshot":
            self.rows = data["items"]
        elif event.name == "change":
            left = {*data["left"], *(row["userId"] for row in data["rows"])}
            places: dict[int, Any] = {at: row for at, row in enumerate(self.rows, 1) if row["userId"] not in left}
            for row in data["rows"]:
                at = row.pop("position")
                assert at not in places, "a row that did not move is where another one is"
                places[at] = row
            assert sorted(places) == list(range(1, len(places) + 1)), "a gap in the list"
            self.rows = [places[at] for at in sorted(places)]
        elif event.name == "around":
            self.around = data
            return
        else:
            self.failure = data["code"]
            return
        self.failure = None
        self.total = data["total"]
        assert event.id == data["asOf"]

    def until(self, look: Callable[[], Any]) -> None:
        """Take events until this is true; the stream must not end before."""
        while not look():
            assert self.take() is not None, "the stream has ended"

    @property
    def list(self) -> list[tuple[int, str, int]]:
        """The list as (rank, player, score)."""
        return [(row["rank"], row["userId"], row["score"]) for row in self.rows]
