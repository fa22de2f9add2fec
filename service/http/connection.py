"""A client's connection: the bounds of requests in size and time, and the ways to end a connection.

uvicorn parses with llhttp and has few bounds of its own. This module adds the others: the size of heads and messages,
the number of requests queued, the time for a head, the progress of bodies and answers, and idle time. A request in one
piece, as nearly all are, costs a few attribute stores. `service.http.connection_limits` checks the time of every
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
from service.contract.streams import Stream
from service.http.connection_limits import Client, ConnectionLimiter
from service.http.heads import (
    HEAD_END,
    HEAD_MOST_BYTES,
    HEADER_MOST_BYTES,
    RTSP,
    split_at_head,
    write_without_upgrade,
)
from service.http.uvicorn_seam import HttpProtocol

MESSAGE_MOST_BYTES: Final = 5 * 1024 * 1024
"""Bytes of one request on the wire: the largest body with chunk sizes, chunk extensions and trailers."""

SMALL_BYTES: Final = 512
"""A piece of at most this size is parsed whole. It holds no more than 20 requests of the shortest form."""

RATE_LEAST: Final = 500
"""Bytes a second. A body or a reader that stays slower is given up."""
REFUSED_GRACE_S: Final = 2
"""Seconds that a refused client may go on sending before the connection is reset."""
UNREAD_S: Final = 5
"""Seconds that a body is read and dropped after its request was answered."""


class Refused(Exception):
    """Stops the parser. The connection has the answer."""


class Dropped(list[tuple[bytes, bytes]]):
    """Receives the trailers of a chunked body and keeps none: they must never count as headers."""

    def append(self, item: tuple[bytes, bytes]) -> None:
        """Drop the trailer."""


class _NoParser:
    """Replaces the parser of a connection that reads no more requests."""

    @staticmethod
    def feed_data(data: bytes) -> None:
        """Drop the bytes."""


class Connection(HttpProtocol):
    """HTTP/1.1 within bounds. A derived class writes answers, and keeps `_open` and `_in_head`."""

    def __init__(self, limiter: ConnectionLimiter, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._limiter: Final = limiter
        self._since = 0  # the limiter's tick at which the present state began
        self._open = False  # a request has begun, and its body is not complete
        self._in_head = False  # nor is its head
        # 0: the request comes in small pieces. 1: a large piece came, so sizes are checked. Above: bytes so far.
        self._bytes = 0
        self._credited = 0  # of these bytes, those that have moved `_since`
        self._rest, self._at = b"", 0  # bytes that wait for room in the queue, and how many of them are parsed
        self._begun = b""  # bytes of an incomplete head
        self._kept = False  # any of the two
        self._piece = b""  # the piece being parsed; a small one stays until the next
        self._held = False  # reading waits for room, too
        self._large = 0  # bytes of large requests that are not answered yet
        self._counted = False  # the limiter counts bytes of this connection
        self._ended = False  # no more requests are read
        self._declined = False  # the request was parsed again without its upgrade
        self._why: Answer | None = None  # the refusal for which the parser was stopped
        self.stream: Stream | None = None
        self._unsent = 0
        self._sent = 0
        self._sending_since = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected. Too many clients are refused at once."""
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
        if self.stream is not None:
            self.stream.close()
        if self._counted:
            self._limiter.hold(self, 0)
        if self.client is not None:
            self._limiter.leave_from(self.client[0])

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more: a half-close, or its end. Complete requests are answered before the close.

        Returns whether the transport stays open until then. A request that is not complete counts as broken off.
        """
        if self.stream is not None:
            # Its client is most likely gone: whether it still reads would show with the next piece only.
            self.stream.close()
            return False
        if self._open and not self._in_head and self.was_asked():
            self.break_body()
        self._open = False
        if not self._ended:
            self._stop_reading()
        return self.is_answering()

    def data_received(self, data: bytes, is_piece: bool = False) -> None:
        """Bytes have arrived. `is_piece`: they are cut to be parsed whole. PERF: so are most as they come."""
        if not is_piece and (len(data) > SMALL_BYTES or self._kept):
            self._parse_in_pieces(data)
            return
        self._piece = data
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.refuse(self._why or problems.BAD_REQUEST.answer)
        if self._open:
            self._count_piece(len(data))
            self._keep_begun(data)
        elif self._bytes:
            self._bytes = 0
            self._begun = b""
            self._hold(len(data))

    def _parse_in_pieces(self, data: bytes) -> None:
        """Parse as many requests as the queue has room for. The rest waits until answers went out.

        The parser cannot be stopped at a request. So the bytes are cut behind heads: a piece with `n` ends of heads
        queues at most `n` requests, and one more if its first bytes end a head.
        """
        data, at = self._rest + data, self._at
        self._rest, self._at = b"", 0
        size = len(data)
        while at < size and not self._ended and not self.transport.is_closing():
            room = self.count_room()
            if room <= 0:
                self._rest, self._at = data, at
                break
            end = at
            while room > 0 and end < size:
                found = data.find(HEAD_END, end)
                end = size if found < 0 else found + len(HEAD_END)
                room -= 1
            piece = data if end - at == size else data[at:end]
            at = end
            if len(piece) > HEADER_MOST_BYTES and not self._bytes:
                self._bytes = 1
            self.data_received(piece, True)
        self._piece = b""
        self._kept = bool(self._rest or self._begun)
        if self._rest or self._counted:
            self._note_held()
        self._hold_if_full()

    def _hold_if_full(self) -> None:
        """Read no more while the queue has no room."""
        if not self._ended and not self._held and (self._rest or self.count_room() <= 0):
            self._held = True
            self.hold_reading()

    def _go_on(self) -> None:
        """An answer went out: parse the rest as far as there is room now, and then read on."""
        self._held = False
        self._parse_in_pieces(b"")
        if not self._held:
            self.release_reading()

    def _keep_begun(self, data: bytes) -> None:
        """Keep the bytes of an incomplete head, up to the end of `data`; perhaps with a body in front of it."""
        if not self._in_head:
            self._begun = b""
            return
        begun = self._begun + data
        end_before = begun.rfind(HEAD_END, max(0, len(self._begun) - len(HEAD_END)))
        self._begun = begun[end_before + 1 :][-HEAD_MOST_BYTES:]
        self._kept = True

    def _check_name(self) -> None:
        """Refuse a request whose line names RTSP. Call it once for each head."""
        raw = self._begun + self._piece
        if RTSP in raw:
            # The next request of the piece begins in what is left.
            named, self._piece = split_at_head(raw, self.parser.get_method(), self.url)
            self._begun = b""
            self._check(problems.VERSION_NOT_SUPPORTED.answer if named == b"RTSP" else None)

    def _decline(self, rest: bytes) -> None:
        """Parse a request again without its wish for another protocol (RFC 9110, 7.8). `rest` follows the head.

        llhttp would take the body for bytes of the new protocol. Java's client asks for HTTP/2 with its first POST.
        """
        if self._declined or self.parser.get_method() == b"CONNECT":
            self.refuse(problems.BAD_REQUEST.answer)
            return
        self._declined = True
        old = self.parser
        head = write_without_upgrade(old.get_method(), old.get_http_version(), self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self._begun = b""
        self.data_received(head + rest, True)

    def _count_piece(self, size: int) -> None:
        """Count a piece of a request that is not complete."""
        if self._bytes < 2:
            # The first piece may begin with bytes of the previous request: counting starts with the next piece.
            self._bytes = self._credited = 2
            self._since = self._limiter.tick
        else:
            self._bytes += size
        if self._in_head:
            if self._bytes > HEAD_MOST_BYTES:
                self.refuse(problems.HEADERS_TOO_LARGE.answer)
        elif self._bytes > MESSAGE_MOST_BYTES:
            self.refuse(problems.BODY_TOO_LARGE.answer)
        self._hold(size)

    def _hold(self, size: int) -> None:
        """Count a piece of a large request until its answer. The body of an answered one is dropped."""
        if not self._ended and not self.has_answered():
            self._large += size
            self._note_held()

    def _note_held(self) -> None:
        """Tell the limiter how many bytes this connection holds: large requests, unparsed ones, an unread answer."""
        unread = self.transport.get_write_buffer_size() if self.is_writing_paused() else 0
        held = self._large + len(self._rest) + unread
        self._counted = held > 0
        self._limiter.hold(self, held)

    def pause_writing(self) -> None:
        """The client does not read its answers as fast as they are made."""
        super().pause_writing()
        self._note_held()

    def resume_writing(self) -> None:
        """The client has read enough of them."""
        super().resume_writing()
        self._note_held()
        if self.stream is not None:
            self.stream.resume()

    def _check(self, refusal: Answer | None) -> None:
        """Stop the parser, if a check of the head refuses the request. Raises `Refused`."""
        if refusal is not None:
            self._why = refusal
            raise Refused

    def refuse(self, answer: Answer) -> None:
        """End the connection with an answer, after those of earlier requests.

        Closing at once would reset the connection, and the client might never read the answer. So the client may go on
        sending for `REFUSED_GRACE_S`.
        """
        if self._ended or self.transport.is_closing():
            return
        answered = self._open and not self._in_head and self.was_asked() and self.break_body()
        self._open = False
        self._stop_reading()
        self._large = 0
        if self._counted:
            self._note_held()
        if self.is_answering():
            return
        if not answered:
            self._write(answer, keep_alive=False)
        self.transport.write_eof()

    def _stop_reading(self) -> None:
        """Drop further bytes of the client; the connection closes after the answers that are due."""
        self._ended = True
        self._since = self._limiter.tick
        self.parser = _NoParser()  # type: ignore[assignment]
        self._rest, self._begun, self._at = b"", b"", 0
        self._kept = self._held = False
        self.release_reading()

    def _write(self, answer: Answer, *, keep_alive: bool) -> None:
        """Write head and body at once."""
        raise NotImplementedError

    def on_response_complete(self) -> None:
        """An answer is written: start the next request, or wait for one. The limiter closes idle connections."""
        if self._large:
            self._large = self.count_queued_bytes()
            self._note_held()
        if self.start_next():
            if self._held and not self.transport.is_closing():
                self._go_on()
            return
        if self._ended:
            self.transport.close()
        else:
            self._since = self._limiter.tick

    def sweep(self, tick: int) -> None:
        """Once a second: end the connection if its client is too slow, or silent for too long."""
        if self.transport.is_closing():
            return
        if self.is_streaming() and not self._open:
            # PERF: thousands of streams are swept each second. Nothing of the below is about them.
            if self._is_stuck(tick):
                self._reset()
            return
        limits = self._limiter.limits
        silent = tick - self._since
        if self._is_stuck(tick) or (self._ended and silent > REFUSED_GRACE_S and not self.is_answering()):
            self._reset()
        elif self._ended:
            return
        elif not self._open:
            if not self.is_answering() and silent > (limits.receive_s if not self.was_asked() else limits.idle_s):
                self.transport.close()
        elif self.is_reading_paused():
            self._since = tick  # the server, not the client, is the one that pauses
        elif self._in_head:
            if silent > limits.receive_s:
                self.refuse(problems.REQUEST_TIMEOUT.answer)
        elif self.has_answered():
            if silent > UNREAD_S:
                self.refuse(problems.REQUEST_TIMEOUT.answer)
        elif self._count_lag(tick) > limits.receive_s:
            self.refuse(problems.REQUEST_TIMEOUT.answer)

    def _count_lag(self, tick: int) -> int:
        """Count the seconds that a body is behind `RATE_LEAST`. Being ahead gives no credit for later silence."""
        earned = (self._bytes - self._credited) // RATE_LEAST
        self._credited += earned * RATE_LEAST
        self._since = min(tick, self._since + earned)
        return tick - self._since

    def _reset(self) -> None:
        """Reset the connection. Without SO_LINGER the kernel would keep its unread answers for minutes."""
        client = self.transport.get_extra_info("socket")
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _is_stuck(self, tick: int) -> bool:
        """Whether the client read its answers at less than `RATE_LEAST` for longer than `send_s`."""
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or self._unsent == 0:
            self._sending_since, self._sent = tick, 0
        else:
            self._sent += max(0, self._unsent - unsent)
        self._unsent = unsent
        limit_s = self._limiter.limits.send_s
        if tick - self._sending_since <= limit_s:
            return False
        if self._sent < RATE_LEAST * limit_s:
            return True
        self._sending_since, self._sent = tick, 0
        return False

    @property
    def silent_since(self) -> int | None:
        """The tick since which the connection waits for its client; None while an answer is due."""
        return None if self._ended or (self.is_answering() and not self._open) else self._since

    def evict(self) -> None:
        """End the connection, to make room for others."""
        if self._open:
            self.refuse(problems.REQUEST_TIMEOUT.answer)
        else:
            self.transport.close()

    def give_way(self) -> bool:
        """End the connection, if the worker waits for its client, to free what it holds; returns whether it did."""
        if self._open:
            self.refuse(problems.TOO_MANY_BYTES.answer)
        elif self.is_writing_paused():
            self._reset()
        else:
            return False
        return True
