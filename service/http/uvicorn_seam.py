"""The one seam to uvicorn: only this module uses names that are not in uvicorn's public interface.

uvicorn keeps a connection, parses with llhttp and runs the ASGI application. The service sets bounds
to connections and answers hot requests itself. So it needs the state of uvicorn's protocol class: the
request being answered, the requests queued behind it, and the way to the application. pyproject.toml
pins uvicorn to its minor release, and tests/unit/service/http/test_uvicorn_seam.py checks each name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

QUEUED_MOST: Final = 16
"""Requests of a connection that wait behind the one being answered, before parsing and reading stop."""
QUEUED_BODY_MOST_BYTES: Final = 64 * 1024
"""Parsing and reading stop, too, where the last request that waits has a longer body."""

CONNECTION: Final = "leaderboard.connection"
"""The member of an ASGI scope that has the connection (`HttpProtocol`)."""

RELIED_ON: Final = {
    "HttpToolsProtocol": (
        "app_state", "client", "connections", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser",
        "pipeline", "scope", "server", "server_state", "tasks", "transport", "_start_asgi_task",
        "on_message_begin", "on_headers_complete", "on_message_complete", "connection_made", "connection_lost",
        "pause_writing", "resume_writing",
    ),
    "RequestResponseCycle": (
        "body", "disconnected", "keep_alive", "message_event", "more_body", "response_complete", "response_started",
        "scope",
    ),
    "ServerState": ("default_headers", "total_requests", "connections", "tasks"),
    "FlowControl": ("read_paused", "write_paused", "pause_reading", "resume_reading", "_transport"),
}  # fmt: skip
"""Names of uvicorn that this module uses, by class. Only `app_state`, `loop` and `transport` are
documented.
"""


class _NoEvent:
    """Replaces the event by which uvicorn tells an ASGI application of more body; the fast path waits for none."""

    @staticmethod
    def set() -> None:
        """Do nothing."""


class HoldableFlow(FlowControl):
    """uvicorn's flow control, with a hold: uvicorn itself resumes reading after each answer and for each body."""

    held = False

    def resume_reading(self) -> None:
        """Resume reading, unless it is held."""
        if self.read_paused and not self.held:
            self.read_paused = False
            self._transport.resume_reading()


class FastCycle:
    """A request of the fast path, with the attributes that uvicorn's protocol expects of a request in
    progress. A derived class sets them. PERF: not by an `__init__` here, a second call for each request.
    """

    __slots__ = ("body", "disconnected", "keep_alive", "more_body", "response_complete")

    message_event = _NoEvent
    body: bytes
    disconnected: bool
    keep_alive: bool
    more_body: bool
    response_complete: bool


@lru_cache(maxsize=64)
def frame_chunk(piece: bytes) -> bytes:
    """A piece as a chunk (RFC 9112, 7.1). PERF: a piece that goes to many connections is framed once."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, with named methods for its state and its steps."""

    flow: HoldableFlow
    _earlier_due = False  # a broken request was taken out of the queue, and one before it is being answered
    _answered: Any = None  # the request that the application answers, or has answered last
    _streamed: Any = None  # the request whose answer has no end, once its head is sent

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self.flow = HoldableFlow(transport)

    # The state of a connection.

    def has_answered(self) -> bool:
        """Whether no request is being answered."""
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def is_answering(self) -> bool:
        """Whether the client waits for an answer that is being made."""
        cycle: Any = self.cycle
        if self.pipeline or self._earlier_due or self._streamed is not None:
            return True
        return cycle is not None and not cycle.response_complete and not cycle.disconnected

    def may_answer_at_once(self) -> bool:
        """Whether the next answer is that of the request just read, and the client reads its answers.

        uvicorn queues a pipelined request behind one in progress. A client that does not read its answers
        needs uvicorn's path as well, which waits for it; the fast path writes without waiting.
        """
        cycle: Any = self.cycle
        return (cycle is None or cycle.response_complete) and not self.pipeline and not self.flow.write_paused

    def is_reading_paused(self) -> bool:
        """Whether uvicorn has paused reading until earlier data is processed."""
        return self.flow.read_paused

    def count_room(self) -> int:
        """How many more requests may be queued; 0 while the last one that is queued has a long body."""
        queued = len(self.pipeline)
        if queued and len(self.cycle.body) > QUEUED_BODY_MOST_BYTES:
            return 0
        return QUEUED_MOST - queued

    def count_queued_bytes(self) -> int:
        """Bytes of the bodies of the requests that are queued."""
        return sum(len(cycle.body) for cycle, _ in self.pipeline)

    def is_writing_paused(self) -> bool:
        """Whether more than 64 KiB of answers are unread."""
        return self.flow.write_paused

    def is_gone(self) -> bool:
        """Whether the connection is closed, or closes."""
        return self.transport.is_closing()

    def is_streaming(self) -> bool:
        """Whether the answer in progress has no end, and its head is sent."""
        return self._streamed is not None

    def begin_stream(self) -> None:
        """The head of an answer without an end is sent: from now on only `write_chunk` writes, until `end_stream`.

        uvicorn takes the client for gone. So it lets the application go on without writing what that sends, and frees
        all of the request: a stream that lasts is a connection and no task.
        """
        self._streamed = cycle = self._answered
        cycle.disconnected = True
        cycle.scope = self.scope = {}  # type: ignore[typeddict-item]
        cycle.message_event = _NoEvent

    def write_chunk(self, piece: bytes) -> None:
        """Send a piece of an answer without an end, in a chunk as uvicorn does."""
        self.transport.write(frame_chunk(piece))

    def end_stream(self) -> None:
        """End an answer without an end. Does nothing where there is none."""
        cycle, self._streamed = self._streamed, None
        if cycle is None:
            return
        cycle.response_complete = True
        if not self.transport.is_closing():
            self.transport.write(b"0\r\n\r\n")
            if not cycle.keep_alive:
                self.transport.close()
        self.on_response_complete()

    def hold_reading(self) -> None:
        """Read nothing until `release_reading`, whatever uvicorn does."""
        self.flow.held = True
        self.flow.pause_reading()

    def release_reading(self) -> None:
        """Read on."""
        self.flow.held = False
        self.flow.resume_reading()

    def was_asked(self) -> bool:
        """Whether any request has come on this connection."""
        return self.cycle is not None

    # From a head to a request.

    def take_over(self, cycle: FastCycle) -> None:
        """Let the fast path answer the request whose head is complete."""
        self.cycle = cycle  # type: ignore[assignment]

    def hand_to_application(self) -> None:
        """Let the ASGI application answer the request whose head is complete."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers = self.scope["headers"] = headers
        self.scope[CONNECTION] = self  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def end_body(self) -> None:
        """End the body of a request of the application."""
        super().on_message_complete()

    # From an answer to the next request.

    def run(self, task: asyncio.Future[Any], then: Callable[[asyncio.Future[Any]], None]) -> None:
        """Keep a task or future of the fast path alive, and let the stop of the worker wait for it."""
        self.tasks.add(task)  # type: ignore[arg-type]
        task.add_done_callback(then)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """uvicorn starts the application for a request, also for one that was queued."""
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def start_next(self) -> bool:
        """Count an answer, and start the next queued request; False if the connection has to wait for one.

        uvicorn stops a worker after `max_requests` answers.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return True
        if self.flow.read_paused:
            self.flow.resume_reading()
        if not self.pipeline:
            return False
        cycle, app = self.pipeline.pop()
        self._start_asgi_task(cycle, app)
        return True

    def close_after_answer(self) -> None:
        """Make the answer in progress the last one of the connection."""
        self.cycle.keep_alive = False

    def break_body(self) -> bool:
        """End an incomplete body as broken, so that its reader does not take it for complete. True if its
        answer was begun, or if an earlier answer is due first.
        """
        cycle: Any = self.cycle
        answered = cycle.response_complete or getattr(cycle, "response_started", False)
        cycle.disconnected = True
        cycle.message_event.set()
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            answered = self._earlier_due = True
        return bool(answered)

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of every answer; a new list whenever the date changes."""
        return self.server_state.default_headers
