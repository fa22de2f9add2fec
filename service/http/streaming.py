"""Sending answers without an end: a stream pushes pieces onto its connection, and no task waits for it.

Falcon iterates over the body, which gives nothing and ends at once: from then on the connection belongs to the stream.
A client that does not read costs what uvicorn has buffered for it, at most 64 KiB and one piece, until `send_s` resets
its connection.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from service.contract.streams import Stream
from service.http.connection import Connection

SEND_BUFFER_BYTES: Final = 64 * 1024
"""The kernel's buffer for a stream. By itself it grows to megabytes for a client that does not read."""


class StreamBody:
    """The body of one answer: Falcon iterates over it, and it is the `Sink` of the stream."""

    __slots__ = ("_connection", "_is_ended", "_stream")

    def __init__(self, stream: Stream, connection: Connection) -> None:
        self._stream: Final = stream
        self._connection: Final = connection
        self._is_ended = False

    def __aiter__(self) -> StreamBody:
        """Falcon has sent the head."""
        return self

    async def __anext__(self) -> bytes:
        """Begin the stream. There is nothing to send that it does not push."""
        connection = self._connection
        if connection.is_gone():
            self._stream.close()
            raise StopAsyncIteration
        connection.begin_stream()
        connection.stream = self._stream
        client = connection.transport.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        has_begun = False
        try:
            self._stream.begin(self)
            has_begun = True
        finally:
            if not has_begun:
                self.end()
        raise StopAsyncIteration

    def push(self, block: bytes) -> bool:
        """Send a piece, unless the client reads too slowly (`Sink`)."""
        connection = self._connection
        if self._is_ended or connection.is_writing_paused() or connection.is_gone():
            return False
        connection.write_chunk(block)
        return True

    def end(self) -> None:
        """End the answer, after what was pushed."""
        if self._is_ended:
            return
        self._is_ended = True
        self._connection.stream = None
        self._stream.close()
        # Not now: the end of a worker is told to one connection after the other, and each has to know of it.
        asyncio.get_running_loop().call_soon(self._connection.end_stream)
