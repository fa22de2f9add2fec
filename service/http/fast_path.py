"""The fast path: hot operations in their plainest spelling, answered below the framework.

uvicorn reads HTTP and keeps the connection, as for every request. Where the table lets the fast
path serve an operation, and the request has nothing percent-encoded, no unusual header and a small
body, its endpoint is asked right away and the answer is written in one piece: no ASGI scope, no
Falcon request and response, no second write. Every other request takes the ordinary path to the
same endpoint. A test sends the same requests both ways and compares the answers.
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
from service.contract.answers import Answer
from service.contract.problems import answer_of
from service.http.connection import HEADERS_MOST, Connection, Dropped
from service.http.connection_limits import ConnectionLimiter
from service.http.endpoint import Order
from service.http.fast_routes import FastRoutes
from service.http.request_ids import make_request_id, note_trouble
from service.http.uvicorn_seam import FastCycle
from service.telemetry.metrics import NAMES, Traffic

log: Final = logging.getLogger(__name__)

STOP_GRACE_S: Final = 1.0
"""How long a worker that stops still answers on connections that are silent now."""

MALFORMED: Final = len(NAMES) - 1


class _Request(FastCycle):
    """A request of the fast path: what it does with its body, and what its answer needs."""

    __slots__ = ("operation", "order", "request_id", "started_ns")

    def __init__(self, request_id: str | None, operation: int, order: Order, keep_alive: bool) -> None:
        super().__init__(keep_alive)
        self.request_id = request_id
        self.operation = operation
        self.order = order
        self.started_ns = perf_counter_ns()


_HEADS: Final[dict[tuple[int, str, int], bytes]] = {}


def make_head(answer: Answer) -> bytes:
    """Status line and the headers that depend on the kind of answer only; made once for each kind."""
    key = (answer.status, answer.media_type, answer.retry_after_s)
    head = _HEADS.get(key)
    if head is None:
        retry = f"retry-after: {answer.retry_after_s}\r\n" if answer.retry_after_s else ""
        status = HTTPStatus(answer.status)
        head = _HEADS[key] = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n{retry}content-type: {answer.media_type}\r\n".encode()
        )
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
        """The request in hand, if the fast path answers it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client. It may have been accepted in the very turn in which the worker began to stop."""
        super().connection_made(transport)
        if self._limiter.leaving:
            self.shutdown()

    def shutdown(self) -> None:
        """The worker stops: close as soon as nothing is lost by it.

        A client on a keep-alive connection may be sending just now, and would not know whether its request counts if
        the connection broke under it. So what comes within a moment is still answered, with ``connection: close``.
        """
        self._limiter.leaving = self._leaving = True
        if self.has_answered():
            self.loop.call_later(STOP_GRACE_S, self._leave)
        else:
            self.close_after_answer()

    def _leave(self) -> None:
        """Close a connection that has been silent. One that is being answered is closed by its answer."""
        if self.has_answered() and not self.transport.is_closing():
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self.begin_head()
        self._open = self._in_head = True
        if self._bytes:
            self._bytes = 1

    def on_headers_complete(self) -> None:
        """The head is read: choose the path."""
        if self._bytes or len(self.headers) > HEADERS_MOST:
            self._check_head()
        if self.may_answer_at_once():
            parser = self.parser
            matched = self._routes.match(parser.get_method(), self.url, self.headers)
            if matched is not None and parser.get_http_version() == "1.1" and not parser.should_upgrade():
                self._request = _Request(*matched, parser.should_keep_alive() and not self._leaving)
                self.take_over(self._request)
                self._in_head = False
                return
        if self.parser.should_upgrade():
            return
        self._check_protocol()
        self._request = None
        self.hand_to_application()
        self._in_head = False
        self.headers = Dropped()
        if self._leaving:
            self.close_after_answer()

    def on_message_complete(self) -> None:
        """The body is read: a request of the fast path starts now."""
        if self._in_head:
            return  # it wished for another protocol, and will be read anew
        self._open = False
        request = self._request
        if request is None:
            self.end_body()
        elif request.more_body:
            request.more_body = False
            # With the request itself: another one may be in hand by the time this one is answered.
            self.run(self.loop.create_task(request.order(request.body)), partial(self._deliver, request))

    def _deliver(self, request: _Request, task: asyncio.Task[Answer]) -> None:
        """Write the answer of a request of the fast path in one piece."""
        self.tasks.discard(task)
        is_awaited = self.finish_fast(request)
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
        if not is_awaited:
            return
        self._traffic.note(request.operation, answer.status, request.started_ns)
        if answer.status >= 400:
            request_id = note_trouble(request_id, answer.status, NAMES[request.operation])
        self._send(answer, request_id, keep_alive=request.keep_alive)
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _write(self, answer: Answer, *, keep_alive: bool) -> None:
        """Refusals of a connection go this way."""
        self._traffic.note(MALFORMED, answer.status, perf_counter_ns())
        self._send(answer, make_request_id(), keep_alive=keep_alive)

    def _send(self, answer: Answer, request_id: str | None, *, keep_alive: bool) -> None:
        """Head and body in one write."""
        defaults = self.default_headers
        if defaults is not FastPath._default:
            # uvicorn makes a new list when the date changes.
            FastPath._default_bytes = b"".join(b"%b: %b\r\n" % pair for pair in defaults)
            FastPath._default = defaults
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers).encode() if answer.headers else b""
        if request_id is not None:
            more += b"x-request-id: %b\r\n" % request_id.encode()
        self.transport.write(
            b"%b%b%bcontent-length: %d\r\n%b\r\n%b"
            % (
                make_head(answer),
                more,
                FastPath._default_bytes,
                len(answer.body),
                b"" if keep_alive else b"connection: close\r\n",
                answer.body,
            )
        )
