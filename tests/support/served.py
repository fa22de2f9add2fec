"""A connection without a server: one worker's protocol, the client's end of the wire, and streams of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

import uvicorn
from hypothesis import strategies as st
from uvicorn.server import ServerState

from board.config.load import load
from board.observe.metrics import Row
from service.app import make_app
from service.http.connection_limits import ConnectionLimiter, ConnectionLimits
from service.http.fast_path import FastPath
from service.http.fast_routes import FastRoutes
from service.telemetry.metrics import REGISTRY, Traffic
from support.endpoints import echo_endpoints


class Wire(asyncio.Transport):
    """A client's end that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.paused = False
        self.unsent = 0

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Served:
    """One worker's protocol over an application with our routes and resources; `limits` are further ones."""

    def __init__(self, **limits: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.asked: list[tuple[Any, ...]] = []
        endpoints = echo_endpoints(lambda what: self.asked.append(what))
        self.limiter = ConnectionLimiter(
            ConnectionLimits(connections=100, receive_s=10, idle_s=10, send_s=10, **limits)
        )
        traffic = Traffic(Row.private(REGISTRY))
        app = make_app(load({}), endpoints, self.limiter, traffic)
        self.protocol = partial(FastPath, FastRoutes(endpoints), self.limiter, traffic)
        self.config = uvicorn.Config(app, lifespan="off", log_config=None, proxy_headers=False)
        self.config.load()

    def connect(self) -> tuple[FastPath, ServerState, Wire]:
        """A new connection. Nothing is answered until `settle`."""
        self.asked.clear()
        server = ServerState()
        protocol = self.protocol(config=self.config, server_state=server, app_state={}, _loop=self.loop)
        wire = Wire()
        protocol.connection_made(wire)
        return protocol, server, wire

    def take(self, pieces: Iterable[bytes]) -> tuple[list[tuple[Any, ...]], Wire]:
        """What was asked for, and the client's end, after all pieces have come and everything is answered."""
        protocol, server, wire = self.connect()
        for piece in pieces:
            if not wire.closed:
                protocol.data_received(piece)
                self.settle(server)
        protocol.connection_lost(None)
        self.settle(server)
        return list(self.asked), wire

    def half_close(self, pieces: Iterable[bytes]) -> tuple[list[tuple[Any, ...]], Wire]:
        """The same, where the client sends no more right after the last piece, and waits for its answers."""
        protocol, server, wire = self.connect()
        for piece in pieces:
            if not wire.closed:
                protocol.data_received(piece)
        # A transport does not see the end while its reading is paused.
        while wire.paused:
            self.turn()
        if not wire.closed and not protocol.eof_received():
            wire.close()
        self.settle(server)
        assert wire.closed
        protocol.connection_lost(None)
        self.settle(server)
        return list(self.asked), wire

    def turn(self) -> None:
        """Let the loop turn once."""
        self.loop.run_until_complete(asyncio.sleep(0))

    def settle(self, server: ServerState) -> None:
        """Let the loop turn until it has nothing more to do but wait for bytes."""

        async def turns() -> None:
            for _ in range(8):
                await asyncio.sleep(0)

        before = -1
        while before != server.total_requests:
            before = server.total_requests
            self.loop.run_until_complete(turns())


TARGETS = st.sampled_from(
    [
        b"/v1/seasons/s/scores",
        b"/v1/seasons/%73/scores",
        b"/v1/seasons/s/leaderboard/top?limit=3",
        b"/v1/seasons/s/leaderboard/rank?userId=a",
        b"/v1/seasons/s/leaderboard/rank?userId=%F0%9F%8F%86",
        b"/v1/seasons/s/leaderboard/around?userId=a&range=2",
        b"/v1/seasons/s",
        b"/",
        b"*",
        b"http://h/v1/seasons/s/scores",
        b"//v1/seasons/s/scores",
    ]
) | st.binary(max_size=12).map(lambda tail: b"/v1/seasons/" + tail)
HEADERS = st.sampled_from(
    [
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Content-Length: +3",
        b"Content-Length: 3, 3",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding : chunked",
        b"Connection: close",
        b"Connection: Upgrade",
        b"Connection: Upgrade\r\nUpgrade: h2c",
        b"Expect: 100-continue",
        b"Content-Type: application/json",
        b"Idempotency-Key: k",
        b"Origin: https://x",
        b"Host: other",
        b"X: y\r\n z",
    ]
)
CHUNKS = st.tuples(
    st.lists(st.binary(min_size=1, max_size=9), max_size=3), st.sampled_from([b"", b"Idempotency-Key: trailer\r\n"])
).map(lambda made: b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in made[0]) + b"0\r\n" + made[1] + b"\r\n")


VERSIONS = [*[b"HTTP/1.1"] * 4, b"HTTP/1.0", b"HTTP/2.0", b"RTSP/1.1"]


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """One to four requests, most of them sound, then perhaps a few bytes changed anywhere."""
    made = b""
    for _ in range(draw(st.integers(1, 4))):
        body = draw(st.binary(max_size=20))
        framing = [b"Content-Length: %d" % len(body)]
        if draw(st.booleans()):
            body, framing = draw(CHUNKS), [b"Transfer-Encoding: chunked"]
        lines = [b"Host: h", *framing, *draw(st.lists(HEADERS, max_size=2))]
        method = draw(st.sampled_from([b"POST", b"POST", b"GET", b"DELETE", b"HEAD", b"CONNECT"]))
        version = draw(st.sampled_from(VERSIONS))
        made += b"%b %b %b\r\n%b\r\n\r\n" % (method, draw(TARGETS), version, b"\r\n".join(lines)) + body
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(made)))
        made = made[:at] + draw(st.binary(max_size=2)) + made[at + draw(st.integers(0, 2)) :]
    return made


def assert_same(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
    """The same was asked; but what needs no body may be answered before its broken body is there."""
    shorter, longer = sorted((one, other), key=len)
    assert longer[: len(shorter)] == shorter
    more = longer[len(shorter) :]
    assert not more or (len(more) == 1 and more[0][0] != "submitScore")
