"""Answers without an end: a feature writes them piece by piece, and a connection sends them."""

from __future__ import annotations

from typing import Final, Protocol

EVENT_STREAM: Final = "text/event-stream"
STREAM_LAG_S: Final = 0.5
"""For so long a board's stream may be behind what Redis shows: the time between two changes, and that of a look and a
read before each (`service.stream.feed`, `service.boards.long_polls`)."""


class Sink(Protocol):
    """The client's end of a stream."""

    def push(self, block: bytes) -> bool:
        """Send a piece. False: the client does not read as fast, and nothing of it is sent."""

    def end(self) -> None:
        """End the answer."""


class Stream(Protocol):
    """The body of an answer, which lasts. All is called in the loop of the worker."""

    def spell(self) -> None:
        """Write numbers of 64 bits as texts (`service.contract.spelling`). Called before `begin`, if at all."""

    def begin(self, sink: Sink) -> None:
        """The head is sent. From now on the stream pushes pieces, until it is closed or ends."""

    def resume(self) -> None:
        """The client, which was too slow, reads again."""

    def close(self) -> None:
        """The client is gone, or the answer has ended: end it. May be called again."""
