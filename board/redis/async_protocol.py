"""RESP over an asyncio transport: bytes in, replies out, each to the first of the waiting."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import hiredis

from board.errors import BoardUnavailable

log: Final = logging.getLogger(__name__)


def pack(args: tuple[bytes | str, ...]) -> bytes:
    """One command as RESP (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    packed: bytes = hiredis.pack_command(args)  # type: ignore[arg-type]
    return packed


class Call:
    """Takes a future's place among the waiting, and passes the reply or the error on at once."""

    __slots__ = ("_over", "_then", "timer")

    def __init__(self, then: Callable[[Any], None]) -> None:
        self._then: Final = then
        self._over = False
        self.timer: asyncio.TimerHandle | None = None

    def done(self) -> bool:
        return self._over

    def set_result(self, reply: Any) -> None:
        self._over = True
        if self.timer is not None:
            self.timer.cancel()
        self._then(reply)

    set_exception = set_result


Waiter = asyncio.Future[Any] | Call


class Protocol(asyncio.Protocol):
    """Bytes in, replies out: each reply goes to the first of the waiting."""

    def __init__(self, lost: asyncio.Future[None]) -> None:
        self.reader: Final = hiredis.Reader()
        self.waiting: Final[deque[Waiter | None]] = deque()
        self.sent_at: Final[deque[float]] = deque()
        self.lost: Final = lost
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def write(self, data: bytes) -> None:
        """Write, unless the connection is closing: then the waiting get their error, and uvloop would raise another."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def abort(self) -> None:
        """Close now."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        reader, waiting, sent_at = self.reader, self.waiting, self.sent_at
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                future = waiting.popleft()
                sent_at.popleft()
                if future is not None and not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            log.error("Redis spoke out of turn: %s", error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail_waiting(exc)
        if not self.lost.done():
            self.lost.set_result(None)

    def fail_waiting(self, exc: Exception | None = None) -> None:
        """Tell the waiting that the connection was lost."""
        reason = BoardUnavailable(f"the connection to Redis was lost{f': {exc}' if exc else ''}")
        for future in self.waiting:
            if future is not None and not future.done():
                future.set_exception(reason)
        self.waiting.clear()
        self.sent_at.clear()
