"""Answers without an end on a real connection: no task lasts with them, and the connection goes on after them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from board.observe.metrics import Row
from service.contract.streams import Sink
from service.http.connection_limits import ConnectionLimiter, ConnectionLimits
from service.http.fast_path import FastPath
from service.http.fast_routes import FastRoutes
from service.http.streaming import StreamBody
from service.http.uvicorn_seam import CONNECTION
from service.telemetry.metrics import REGISTRY, Traffic

IDLE_S: Final = 10
PATIENCE_S: Final = 30


class Told:
    """A stream that a test pushes on."""

    def __init__(self, *, is_refused: bool = False) -> None:
        self.sink: Sink | None = None
        self.closed = 0
        self._is_refused = is_refused

    def spell(self) -> None:
        """Not asked for."""

    def begin(self, sink: Sink) -> None:
        self.sink = sink
        sink.push(b"first")
        if self._is_refused:
            sink.end()

    def resume(self) -> None:
        """No client is slow here."""

    def close(self) -> None:
        self.closed += 1


class Worker:
    """A worker's connections on a port, over an application that streams at `/stream`."""

    def __init__(self, stream: Told) -> None:
        self.stream = stream
        self.state = ServerState()
        self.limiter = ConnectionLimiter(ConnectionLimits(connections=9, receive_s=10, idle_s=IDLE_S, send_s=10))
        self._config = uvicorn.Config(
            self._answer, lifespan="off", interface="asgi3", log_config=None, proxy_headers=False
        )
        self._config.load()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """As Falcon does: the head, then whatever the body gives, then the end."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/stream":
            body = StreamBody(self.stream, scope[CONNECTION])
            async for piece in body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    def _connect(self) -> FastPath:
        traffic = Traffic(Row.private(REGISTRY))
        return FastPath(
            FastRoutes(()), self.limiter, traffic,
            config=self._config, server_state=self.state, app_state={}, _loop=asyncio.get_running_loop(),
        )  # fmt: skip

    @property
    def connection(self) -> Any:
        (one,) = self.state.connections
        return one

    async def serve(self, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        server = await asyncio.get_running_loop().create_server(self._connect, "127.0.0.1", 0)
        async with server, asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await talk(reader, writer)
            writer.close()


def ask(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: t", *headers, "", ""]).encode()


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readline(), 16)
    return (await reader.readexactly(size + 2))[:-2]


async def begin(worker: Worker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *headers: str) -> Sink:
    """Ask for the stream, and read up to its first piece."""
    writer.write(ask("/stream", *headers))
    assert b"transfer-encoding: chunked" in (await reader.readuntil(b"\r\n\r\n")).lower()
    assert await read_chunk(reader) == b"first"
    assert worker.stream.sink is not None
    return worker.stream.sink


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_stream_lasts_without_a_task_and_its_connection_goes_on() -> None:
    worker = Worker(Told())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sink = await begin(worker, reader, writer)
        await turn()
        assert worker.state.tasks == set(), "a task for each listener"
        assert sink.push(b"second") and await read_chunk(reader) == b"second"
        sink.end()
        assert not sink.push(b"late")
        assert await read_chunk(reader) == b""
        assert worker.stream.closed == 1
        writer.write(ask("/plain"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await turn()
        assert worker.state.total_requests == 2

    asyncio.run(worker.serve(talk))


def test_a_request_behind_it_waits_for_its_end() -> None:
    worker = Worker(Told())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sink = await begin(worker, reader, writer)
        writer.write(ask("/plain"))
        while not worker.connection.pipeline:
            await asyncio.sleep(0)
        assert sink.push(b"second") and await read_chunk(reader) == b"second"
        sink.end()
        assert await read_chunk(reader) == b""
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    asyncio.run(worker.serve(talk))


def test_the_last_request_of_a_connection_closes_it() -> None:
    worker = Worker(Told())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sink = await begin(worker, reader, writer, "Connection: close")
        sink.end()
        assert await reader.read() == b"0\r\n\r\n"

    asyncio.run(worker.serve(talk))


def test_a_stream_that_ends_as_it_begins_is_a_whole_answer() -> None:
    worker = Worker(Told(is_refused=True))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await begin(worker, reader, writer)
        assert await read_chunk(reader) == b""
        writer.write(ask("/plain"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    asyncio.run(worker.serve(talk))


def test_a_client_that_goes_away_ends_it_once() -> None:
    worker = Worker(Told())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sink = await begin(worker, reader, writer)
        writer.transport.abort()
        while worker.state.connections:
            await asyncio.sleep(0)
        await turn()
        assert worker.stream.closed >= 1 and not sink.push(b"late")

    asyncio.run(worker.serve(talk))


def test_it_is_never_idle_and_is_told_of_the_end_of_the_worker() -> None:
    worker = Worker(Told())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sink = await begin(worker, reader, writer)
        connection = worker.connection
        await turn()
        for tick in range(1, 4 * IDLE_S):
            connection.sweep(tick)
        assert connection.silent_since is None and not connection.is_gone()
        # As uvicorn does: all connections are told in one turn, and the stream ends in the same.
        sink.end()
        connection.shutdown()
        assert await reader.read() == b"0\r\n\r\n", "it closes at once"

    asyncio.run(worker.serve(talk))


def test_the_request_is_freed_while_the_stream_lasts() -> None:
    worker = Worker(Told())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await begin(worker, reader, writer)
        await turn()
        gc.collect()
        held = [one for one in gc.get_objects() if type(one) is dict and one.get("raw_path") == b"/stream"]
        assert held == []

    asyncio.run(worker.serve(talk))
