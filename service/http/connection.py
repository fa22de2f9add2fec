"""One client's connection: how much of a request may come, how slowly, and how a connection ends.

uvicorn parses with llhttp and knows few bounds. Here are the others: sizes of the head, time for a head, progress of
a body and of an answer, idle time. A request that comes in one piece, as nearly all do, pays for none of them but a
few attribute stores; all timing is done by `service.http.connection_limits`, which looks at every
connection once a second.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Final, cast

import httptools

from service.contract import problems
from service.contract.answers import Answer
from service.http.connection_limits import Client, ConnectionLimiter
from service.http.uvicorn_seam import HttpProtocol

HEAD_MOST: Final = 16 * 1024
URL_MOST: Final = 8 * 1024
HEADER_MOST: Final = 8 * 1024
HEADERS_MOST: Final = 64
MESSAGE_MOST: Final = 5 * 1024 * 1024
"""Bytes on the wire of one request with everything: the largest body, chunk sizes, chunk extensions, trailers."""

RATE_LEAST: Final = 500
"""Bytes a second: a body or a reader that is slower for long is given up."""
REFUSED_GRACE_S: Final = 2
"""So long a client that was refused may go on sending before the connection is reset."""
UNREAD_S: Final = 5
"""So long a body is read and dropped after its request was answered."""


class Refused(Exception):
    """Stops the parser. What the client is told is in the connection."""


class Dropped(list[tuple[bytes, bytes]]):
    """Takes a chunked body's trailers, which must never pass for headers, and keeps none."""

    def append(self, item: tuple[bytes, bytes]) -> None:
        """Forget it."""


class _Deaf:
    """Stands in for the parser once nothing more is heard."""

    @staticmethod
    def feed_data(data: bytes) -> None:
        """Drop it."""


class Connection(HttpProtocol):
    """HTTP/1.1 within bounds. A derived class writes answers and keeps `_in_head`."""

    def __init__(self, limiter: ConnectionLimiter, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._limiter: Final = limiter
        self._since = 0  # the limiter's tick when the present state began
        self._open = False  # a request has begun and not come to its end
        self._in_head = False  # and its headers have not, either
        # 0: comes in small pieces; 1: in a large one, sizes are to be looked at; above: what of it came so far.
        self._bytes = 0
        self._deaf = False
        self._declined = False
        self._why: Answer | None = None
        self._unsent = 0
        self._sent = 0
        self._sending_since = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client: refused at once when there are too many."""
        super().connection_made(transport)
        limiter = self._limiter
        self._since = limiter.tick
        excess = limiter.enter(cast(set[Client], self.connections))
        if self.client is not None:
            excess = max(excess, limiter.enter_from(self.client[0]))
        if excess > limiter.SPARE:
            transport.abort()
        elif excess > 0:
            self.refuse(problems.TOO_MANY_CONNECTIONS.answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        if self.client is not None:
            self._limiter.leave_from(self.client[0])

    def data_received(self, data: bytes) -> None:
        """Bytes of a client."""
        if len(data) > HEADER_MOST and not self._bytes:
            self._bytes = 1
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.refuse(self._why or problems.BAD_REQUEST.answer)
        if self._open:
            self._count_piece(len(data))
        elif self._bytes:
            self._bytes = 0

    def _decline(self, rest: bytes) -> None:
        """Read a request anew without its wish for another protocol, as RFC 9110 (7.8) allows; `rest` follows the head.

        llhttp would take the body for bytes of the new protocol, and Java's client asks for HTTP/2 with its first POST.
        """
        if self._declined or self.parser.get_method() == b"CONNECT":
            self.refuse(problems.BAD_REQUEST.answer)
            return
        self._declined = True
        old = self.parser
        closes = any(name == b"connection" and b"close" in value.lower() for name, value in self.headers)
        kept = [(name, value) for name, value in self.headers if name not in (b"connection", b"upgrade")]
        lines = [b"%b: %b\r\n" % pair for pair in kept + [(b"connection", b"close")] * closes]
        head = b"%b %b HTTP/%b\r\n" % (old.get_method(), self.url, old.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + b"".join(lines) + b"\r\n" + rest)

    def _count_piece(self, size: int) -> None:
        """A piece of a request that is still to come to its end."""
        if self._bytes < 2:
            # Some of this first piece may belong to the request before: counting begins with the next.
            self._bytes = 2
            self._since = self._limiter.tick
        else:
            self._bytes += size
        if self._in_head:
            if self._bytes > HEAD_MOST:
                self.refuse(problems.HEADERS_TOO_LARGE.answer)
        elif self._bytes > MESSAGE_MOST:
            self.refuse(problems.BODY_TOO_LARGE.answer)

    def _check_head(self) -> None:
        """Raise `Refused` for a head beyond the bounds."""
        sizes = [len(name) + len(value) + 4 for name, value in self.headers]
        if len(self.url) > URL_MOST:
            self._why = problems.URI_TOO_LONG.answer
        elif len(sizes) > HEADERS_MOST or sum(sizes) + len(self.url) > HEAD_MOST or max(sizes, default=0) > HEADER_MOST:
            self._why = problems.HEADERS_TOO_LARGE.answer
        else:
            return
        raise Refused

    def _check_protocol(self) -> None:
        """Raise `Refused` for a version that is not ours, unless one host is meant (RFC 9112, 3.2), for a fragment, and
        for a body whose end another reader of the same bytes may see elsewhere (6.1, 6.3)."""
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if version not in ("1.0", "1.1"):
            self._why = problems.VERSION_NOT_SUPPORTED.answer
        elif hosts > 1 or (hosts == 0 and version == "1.1"):
            self._why = problems.BAD_REQUEST.with_detail("A request needs one Host header.")
        elif b"#" in self.url:
            # The framework would drop it: one more spelling of every path.
            self._why = problems.BAD_REQUEST.with_detail("A request's target has no fragment.")
        elif (coded := self._list_codings()) and (version == "1.0" or coded != [b"chunked"]):
            self._why = problems.BAD_REQUEST.with_detail(
                "Transfer-Encoding is chunked or nothing, and HTTP/1.0 has none."
            )
        else:
            return
        raise Refused

    def _list_codings(self) -> list[bytes]:
        """What the request says of its transfer coding."""
        return [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]

    def refuse(self, answer: Answer) -> None:
        """End the connection with an answer, in its turn.

        To write it at once would pass it off as the answer to a request before. To close at once would reset the
        connection, and the client might never read why; so it may go on sending for a moment.
        """
        if self._deaf or self.transport.is_closing():
            return
        answered = self._open and not self._in_head and self.was_asked() and self.break_body()
        self._open = False
        self._hear_no_more()
        if self.is_answering():
            return
        if not answered:
            self._write(answer, keep_alive=False)
        self.transport.write_eof()

    def _hear_no_more(self) -> None:
        """Drop what the client still sends; close when what it has asked is answered."""
        self._deaf = True
        self._since = self._limiter.tick
        self.parser = _Deaf()  # type: ignore[assignment]

    def _write(self, answer: Answer, *, keep_alive: bool) -> None:
        """Head and body in one write."""
        raise NotImplementedError

    def on_response_complete(self) -> None:
        """An answer is written: begin with the next request, or wait for one. The limiter sees to idle connections."""
        self.count_answer()
        if self.transport.is_closing() or self.start_next():
            return
        if self._deaf:
            self.transport.close()
        else:
            self._since = self._limiter.tick

    def sweep(self, tick: int) -> None:
        """Once a second: end the connection if its client is too slow, or silent for too long."""
        if self.transport.is_closing():
            return
        limits = self._limiter.limits
        silent = tick - self._since
        if self._is_stuck(tick) or (self._deaf and silent > REFUSED_GRACE_S and not self.is_answering()):
            self._reset()
        elif self._deaf:
            return
        elif not self._open:
            if not self.is_answering() and silent > (limits.receive_s if not self.was_asked() else limits.idle_s):
                self.transport.close()
        elif self.is_reading_paused():
            self._since = tick  # it is us who do not read
        elif self._in_head:
            if silent > limits.receive_s:
                self.refuse(problems.REQUEST_TIMEOUT.answer)
        elif self.has_answered():
            if silent > UNREAD_S:
                self.refuse(problems.REQUEST_TIMEOUT.answer)
        elif silent > limits.receive_s + self._bytes // RATE_LEAST:
            self.refuse(problems.REQUEST_TIMEOUT.answer)

    def _reset(self) -> None:
        """End it at once: without this option the kernel would keep the answers nobody reads, for minutes."""
        client = self.transport.get_extra_info("socket")
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _is_stuck(self, tick: int) -> bool:
        """Whether the client has read less of its answers than the least rate, for the time it is given."""
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or self._unsent == 0:
            self._sending_since, self._sent = tick, 0
        else:
            self._sent += max(0, self._unsent - unsent)
        self._unsent = unsent
        given = self._limiter.limits.send_s
        if tick - self._sending_since <= given:
            return False
        if self._sent < RATE_LEAST * given:
            return True
        self._sending_since, self._sent = tick, 0
        return False

    def silent_since(self) -> int | None:
        """The tick since which nothing but the client is waited for; None while it is owed an answer."""
        return None if self._deaf or (self.is_answering() and not self._open) else self._since

    def evict(self) -> None:
        """Make room for others."""
        if self._open:
            self.refuse(problems.REQUEST_TIMEOUT.answer)
        else:
            self.transport.close()
