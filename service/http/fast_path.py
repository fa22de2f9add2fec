"""The express lane: the four hot operations in their plainest spelling, answered below the framework.

uvicorn reads HTTP and keeps the connection, as for every request. Where a request is one of the four, has nothing
percent-encoded, no unusual header and a small body, its action is called right away and the answer is written in one
piece: no ASGI scope, no Falcon request and response, no second write. Everything else takes the ordinary way to
the same actions. A test sends the same requests both ways and compares the answers.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from http import HTTPStatus
from time import perf_counter_ns
from typing import Any, Final

from service.access.authorizer import Gate
from service.actions import Actions
from service.contract import problems
from service.contract.answers import Answer, Order
from service.http.connection import HEADERS_MOST, WHOLE, Connection, Dropped
from service.http.fast_routes import plan
from service.http.request_ids import made, of_trouble
from service.http.tracing import Traces
from service.telemetry.metrics import NAMES, Traffic

log: Final = logging.getLogger("service.http.fast_path")

LINGER_S: Final = 1.0
"""How long a worker that stops still answers on connections that are silent now."""

STATE: Final = "leaderboard.actions"
"""Where in the lifespan's state the composition root puts the actions."""
GATE: Final = "leaderboard.gate"
"""And where the gate; nothing there when the server runs open."""
TRACES: Final = "leaderboard.traces"
"""And where traces begin."""
TRAFFIC: Final = "leaderboard.traffic"
"""And where answers are counted."""

MALFORMED: Final = len(NAMES) - 1


class _NoEvent:
    """Stands in for the event by which uvicorn tells an ASGI application of more body; nobody waits here."""

    @staticmethod
    def set() -> None:
        """Nothing to wake."""


class _Cycle:
    """What uvicorn's protocol needs to know of a request in progress."""

    __slots__ = (
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "operation",
        "order",
        "request_id",
        "response_complete",
        "started_ns",
    )

    def __init__(self, request_id: str | None, operation: int, order: Order, keep_alive: bool) -> None:
        self.request_id = request_id
        self.operation = operation
        self.order = order
        self.started_ns = perf_counter_ns()
        self.keep_alive = keep_alive
        self.body = b""
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NoEvent


_HEADS: Final[dict[tuple[int, str, int], bytes]] = {}


def head(answer: Answer) -> bytes:
    """Status line and the headers that depend on the kind of answer only; made once for each kind."""
    key = (answer.status, answer.media_type, answer.retry_after_s)
    made = _HEADS.get(key)
    if made is None:
        retry = f"retry-after: {answer.retry_after_s}\r\n" if answer.retry_after_s else ""
        status = HTTPStatus(answer.status)
        made = _HEADS[key] = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n{retry}content-type: {answer.media_type}\r\n".encode()
        )
    return made


class Protocol(Connection):
    """A connection with the express lane in front."""

    _default: Any = None
    _default_bytes = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What the lifespan's start has put into the state that uvicorn hands to every connection.
        self._actions: Final[Actions | None] = self.app_state.get(STATE)
        self._gate: Final[Gate | None] = self.app_state.get(GATE)
        self._traces: Final[Traces] = self.app_state.get(TRACES) or Traces(None)
        self._leaving = False
        self._traffic: Final[Traffic | None] = self.app_state.get(TRAFFIC)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client. It may have been accepted in the very turn in which the worker began to stop."""
        super().connection_made(transport)
        if getattr(self.server_state, "leaving", False):
            self.shutdown()

    def shutdown(self) -> None:
        """The worker stops: close as soon as nothing is lost by it.

        A client on a keep-alive connection may be sending just now, and would not know whether its request counts if
        the connection broke under it. So what comes within a moment is still answered, with ``connection: close``.
        """
        self.server_state.leaving = True  # type: ignore[attr-defined]
        self._leaving = True
        if self._is_idle():
            self.loop.call_later(LINGER_S, self._leave)
        else:
            self.cycle.keep_alive = False

    def _is_idle(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _leave(self) -> None:
        """Close a connection that has been silent. One that is being answered is closed by its answer."""
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins. The ASGI scope is made later, for those that need one."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._open = self._in_head = True
        if self._bytes:
            self._bytes = 1

    def on_headers_complete(self) -> None:
        """The head is read: choose the lane."""
        if self._bytes or len(self.headers) > HEADERS_MOST:
            self._check_head()
        actions = self._actions
        current: Any = self.cycle
        # A pipelined request behind one in progress is queued by uvicorn, the ordinary way. So is one of a client that
        # does not read its answers: uvicorn's lane waits until it does, this one only ever writes.
        idle = (current is None or current.response_complete) and not self.pipeline
        if actions is not None and idle and not self.flow.write_paused:
            parser = self.parser
            planned = plan(actions, self._gate, self._traces, parser.get_method(), self.url, self.headers)
            if planned is not None and parser.get_http_version() == "1.1" and not parser.should_upgrade():
                cycle: Any = _Cycle(*planned, parser.should_keep_alive() and not self._leaving)
                self.cycle = cycle
                self._in_head = False
                return
        if self.parser.should_upgrade():
            return
        self._check_protocol()
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers = self.scope["headers"] = headers
        super().on_headers_complete()
        self._in_head = False
        self.scope["state"][WHOLE] = False
        self.headers = Dropped()
        if self._leaving:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The body is read: an express request starts now."""
        if self._in_head:
            return  # it wished for another protocol, and will be read anew
        self._open = False
        cycle: Any = self.cycle
        if type(cycle) is not _Cycle:
            cycle.scope["state"][WHOLE] = True
            super().on_message_complete()
        elif cycle.more_body:
            cycle.more_body = False
            task: asyncio.Task[Any] = self.loop.create_task(cycle.order(cycle.body))
            self.tasks.add(task)
            # Not self.cycle: that may be a pipelined request by the time this one is answered.
            task.add_done_callback(partial(self._deliver, cycle))

    def _deliver(self, cycle: _Cycle, task: asyncio.Task[Answer]) -> None:
        """Write the answer of an express request in one piece."""
        self.tasks.discard(task)
        cycle.response_complete = True
        if task.cancelled():
            self.transport.close()
            return
        error = task.exception()
        request_id = cycle.request_id
        if error is not None:
            request_id = request_id or made()
            log.error("an express request failed", exc_info=error, extra={"request_id": request_id})
        if cycle.disconnected or self.transport.is_closing():
            return
        answer = problems.INTERNAL.answer if error is not None else task.result()
        if self._traffic is not None:
            self._traffic.note(cycle.operation, answer.status, cycle.started_ns)
        if answer.status >= 400:
            request_id = of_trouble(request_id, answer.status, NAMES[cycle.operation])
        self._send(answer, request_id, keep_alive=cycle.keep_alive)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _write(self, answer: Answer, *, keep_alive: bool) -> None:
        """What refuses a connection goes this way."""
        if self._traffic is not None:
            self._traffic.note(MALFORMED, answer.status, perf_counter_ns())
        self._send(answer, made(), keep_alive=keep_alive)

    def _send(self, answer: Answer, request_id: str | None, *, keep_alive: bool) -> None:
        """Head and body in one write."""
        defaults = self.server_state.default_headers
        if defaults is not Protocol._default:
            # uvicorn makes a new list when the date changes.
            Protocol._default_bytes = b"".join(b"%b: %b\r\n" % pair for pair in defaults)
            Protocol._default = defaults
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers).encode() if answer.headers else b""
        if request_id is not None:
            more += b"x-request-id: %b\r\n" % request_id.encode()
        self.transport.write(
            b"%b%b%bcontent-length: %d\r\n%b\r\n%b"
            % (
                head(answer),
                more,
                Protocol._default_bytes,
                len(answer.body),
                b"" if keep_alive else b"connection: close\r\n",
                answer.body,
            )
        )
