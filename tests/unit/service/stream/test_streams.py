"""The streams of a worker that stops."""

from __future__ import annotations

import asyncio
from typing import cast

from service.contract.leaving import Leaving
from service.contract.streams import Stream
from service.stream.feed import Boards
from service.stream.streams import BoardStreams


class Kept:
    """A client's end that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.ended = False

    def push(self, block: bytes) -> bool:
        assert not self.ended
        self.got.append(block)
        return True

    def end(self) -> None:
        self.ended = True


def test_a_client_that_comes_as_the_worker_stops_is_told_to_come_again() -> None:
    """Its stream ends at once, whatever else holds: a browser would give up at an error."""

    async def come() -> Kept:
        leaving = Leaving()
        streams = BoardStreams(cast(Boards, None), leaving, most=0, players_most=0)
        leaving.begin()
        answer = await streams.listen("s", 5, "ada", None, None)
        assert (answer.status, answer.media_type, streams.count) == (200, "text/event-stream", 0)
        sink = Kept()
        cast(Stream, answer.stream).begin(sink)
        return sink

    sink = asyncio.run(come())
    ((line,), ended) = sink.got, sink.ended
    assert ended and line.startswith(b"retry: ") and 500 <= int(line[7:]) <= 3_000
