"""The fast path: hot operations in their plainest spelling, answered below Falcon.

uvicorn parses HTTP and keeps the connection, as for every request. The fast path takes a request if
the table marks its operation as fast, nothing is percent-encoded, no header is unusual, and the body
is small. It calls the endpoint directly and writes the answer in one piece: no ASGI scope, no Falcon
request and response, no second write. Every other request takes the ordinary path to the same
endpoint. A test sends the same requests on both paths and compares the answers.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from http import HTTPStatus
from time import perf_counter_ns
from typing import Any, Final

from board.errors import LeaderboardError
from service.contract import problems
from service.contract.answers import KEPT, KEPT_PUBLIC, NOT_KEPT, Answer
from service.contract.failures import answer_of
from service.http.conditional import NOT_MODIFIED
from service.http.connection import Connection, Dropped
from service.http.connection_limits import ConnectionLimiter
from service.http.endpoint import Order
from service.http.fast_routes import FastRoutes
from service.http.heads import HEADERS_MOST, check_protocol, check_size
from service.http.request_ids import make_request_id, note_trouble
from service.http.uvicorn_seam import FastCycle
from service.telemetry.metrics import NAMES, Traffic

log: Final = logging.getLogger(__name__)

STOP_GRACE_S: Final = 1.0
"""Seconds for which a stopping worker still answers on silent connections."""

MALFORMED: Final = len(NAMES) - 1
"""The index in `NAMES` under which refused connections count."""


class _Request(FastCycle):
    """A request of the fast path: its order, and the data for its answer."""

    __slots__ = ("is_public", "operation", "order", "request_id", "started_ns")

    def __init__(self, request_id: str | None, operation: int, order: Order, is_public: bool, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.body = b""
        self.more_body = True
        self.disconnected = self.response_complete = False
        self.request_id = request_id
        self.operation = operation
        self.order = order
        self.is_public = is_public
        self.started_ns = perf_counter_ns()


_HEADS: Final[dict[tuple[int, str, int, str], bytes]] = {}


def make_head(answer: Answer, is_public: bool = False) -> bytes:
    """Make the status line and the headers of a kind of answer. PERF: once for each kind."""
    kept = NOT_KEPT if answer.etag == "" else KEPT_PUBLIC if is_public else KEPT
    key = (answer.status, answer.media_type, answer.retry_after_s, kept)
    head = _HEADS.get(key)
    if head is None:
        retry = f"retry-after: {answer.retry_after_s}\r\n" if answer.retry_after_s else ""
        status = HTTPStatus(answer.status)
        kind = "" if status == NOT_MODIFIED else f"content-type: {answer.media_type}\r\n"
        kind += f"cache-control: {kept}\r\n"
        head = _HEADS[key] = f"HTTP/1.1 {status.value} {status.phrase}\r\n{retry}{kind}".encode()
    return head


class FastPath(Connection):
    """A connection with the fast path in front of the application."""

    _default: Any = None
    _default_bytes = b""

    def __init__(self, routes: FastRoutes, limiter: ConnectionLimiter, traffic: Traffic, **uvicorn: Any) -> None:
        super().__init__(limiter, **uvicorn)
        self._routes: Final = routes
        self._traffic: Final = traffic
        self._leaving = False
        self._request: _Request | None = None
        """The current request, if the fast path answers it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, perhaps in the same turn of the loop in which the worker began to stop."""
        super().connection_made(transport)
        if self._limiter.leaving:
            self.shutdown()

    def shutdown(self) -> None:
        """The worker stops: close as soon as no request is lost.

        A client on a keep-alive connection may be sending now. If the connection broke, it would not know whether its
        request counts. So a request within `STOP_GRACE_S` is still answered, with ``connection: close``.
        """
        self._leaving = True
        self._limiter.leave()
        if self.has_answered():
            self.loop.call_later(STOP_GRACE_S, self._leave)
        else:
            self.close_after_answer()

    def _leave(self) -> None:
        """Close a connection that stayed silent. If a request is under way, its answer closes the connection."""
        if self.has_answered() and not self.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes, is_piece: bool = False) -> None:
        """Bytes have arrived. PERF: one plain request, as they nearly always are, needs no parser with callbacks."""
        if not (self._open or self._kept or self._bytes or self._ended or is_piece) and self.may_answer_at_once():
            matched = self._routes.match_plain(data)
            if matched is not None:
                request = self._request = _Request(*matched[0], not self._leaving)
                request.more_body = False
                self.take_over(request)
                self._start(request, matched[1])
                return
        super().data_received(data, is_piece)

    def on_message_begin(self) -> None:
        """A request begins."""
        # The ASGI scope is made later, for those that need one.
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._open = self._in_head = True
        if self._bytes:
            self._bytes = 1

    def on_headers_complete(self) -> None:
        """The head is complete: choose the path."""
        if self._bytes or len(self.headers) > HEADERS_MOST:
            self._check(check_size(self.url, self.headers))
        is_named = False
        if self.may_answer_at_once():
            parser = self.parser
            method = parser.get_method()
            # PERF: nearly always the piece begins with the request. A further one of the piece is not answered at once.
            if self._begun or not self._piece.startswith(b" HTTP/", len(method) + 1 + len(self.url)):
                self._check_name()
                is_named = True
            matched = self._routes.match(method, self.url, self.headers)
            if matched is not None and parser.get_http_version() == "1.1" and not parser.should_upgrade():
                self._request = _Request(*matched, parser.should_keep_alive() and not self._leaving)
                self.take_over(self._request)
                self._in_head = False
                return
        if not is_named:
            self._check_name()
        if self.parser.should_upgrade():
            return
        self._check(check_protocol(self.parser.get_method(), self.parser.get_http_version(), self.url, self.headers))
        self._request = None
        self.hand_to_application()
        self._hold_if_full()
        self._in_head = False
        self.headers = Dropped()
        if self._leaving:
            self.close_after_answer()

    def on_message_complete(self) -> None:
        """The body is complete: start a request of the fast path."""
        if self._in_head:
            return  # the request asked for another protocol, and is parsed again
        self._open = False
        request = self._request
        if request is None:
            self.end_body()
        elif request.more_body:
            request.more_body = False
            self._start(request, request.body)

    def _start(self, request: _Request, body: bytes) -> None:
        """Start a request whose body is complete."""
        # The request is bound here: `_request` may be another one by the time this one is answered.
        answer = request.order(body)
        # PERF: a read that is gathered with others is a future already, and needs no task.
        future = answer if isinstance(answer, asyncio.Future) else self.loop.create_task(answer)
        self.run(future, partial(self._deliver, request))

    def _deliver(self, request: _Request, task: asyncio.Future[Answer]) -> None:
        """Write the answer of a request of the fast path in one piece."""
        self.tasks.discard(task)
        request.response_complete = True
        if task.cancelled():
            self.transport.close()
            return
        error = task.exception()
        request_id = request.request_id
        if error is None:
            answer = task.result()
        elif isinstance(error, LeaderboardError):
            answer = answer_of(error)
        else:
            answer = problems.INTERNAL.answer
            request_id = request_id or make_request_id()
            log.error("a request of the fast path failed", exc_info=error, extra={"request_id": request_id})
        if request.disconnected or self.transport.is_closing():
            return
        self._traffic.note(request.operation, answer.status, request.started_ns)
        if answer.status >= 400:
            request_id = note_trouble(request_id, answer.status, NAMES[request.operation])
        self._send(answer, request_id, keep_alive=request.keep_alive, is_public=request.is_public)
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _write(self, answer: Answer, *, keep_alive: bool) -> None:
        """Write the refusal of a connection."""
        self._traffic.note(MALFORMED, answer.status, perf_counter_ns())
        self._send(answer, make_request_id(), keep_alive=keep_alive)

    def _send(self, answer: Answer, request_id: str | None, *, keep_alive: bool, is_public: bool = False) -> None:
        """Write head and body at once."""
        defaults = self.default_headers
        if defaults is not FastPath._default:
            # PERF: uvicorn makes a new list when the date changes; until then the bytes are reused.
            FastPath._default_bytes = b"".join(b"%b: %b\r\n" % pair for pair in defaults)
            FastPath._default = defaults
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers).encode() if answer.headers else b""
        if answer.etag:
            more += f"etag: {answer.etag}\r\n".encode()
        if request_id is not None:
            more += b"x-request-id: %b\r\n" % request_id.encode()
        self.transport.write(
            b"%b%b%b%b%b\r\n%b"
            % (
                make_head(answer, is_public),
                more,
                FastPath._default_bytes,
                b"" if answer.status == NOT_MODIFIED else b"content-length: %d\r\n" % len(answer.body),
                b"" if keep_alive else b"connection: close\r\n",
                answer.body,
            )
        )
