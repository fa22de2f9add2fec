"""TLS to Redis: both clients follow the options of one URL alike, against a real TLS endpoint."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.certificates import write_certificate
from support.world import World

from board.errors import BoardUnavailable
from board.redis.async_redis import AsyncRedis, pack
from board.redis.sync_redis import SyncRedis


class TlsEndpoint:
    """Accepts TLS on a local port, and passes each connection on to Redis' Unix socket.

    A connection has one thread: two of them may not read and write one TLS connection at the same time.
    """

    def __init__(self, target: str, directory: Path) -> None:
        self.target = target
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(directory / "server.pem", directory / "server.key")
        self.context.load_verify_locations(directory / "client.pem")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.connections: list[threading.Thread] = []
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self) -> TlsEndpoint:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        for thread in (self.thread, *self.connections):
            thread.join(20)
            assert not thread.is_alive()

    def serve(self) -> None:
        with self.listener:
            while True:
                try:
                    connection, _ = self.listener.accept()
                except OSError:
                    return
                thread = threading.Thread(target=self.pass_on, args=(connection,))
                self.connections.append(thread)
                thread.start()

    def pass_on(self, connection: socket.socket) -> None:
        with connection, socket.socket(socket.AF_UNIX) as redis:
            connection.settimeout(15)
            redis.connect(self.target)
            # A client that refuses this endpoint's certificate, or that it refuses, ends in an OSError.
            with suppress(OSError), self.context.wrap_socket(connection, server_side=True) as client:
                sinks = {client: redis, redis: client}
                while all(pass_once(source, sinks[source]) for source in select.select([*sinks], [], [], 15)[0]):
                    pass


def pass_once(source: socket.socket, sink: socket.socket) -> bool:
    """Pass on what can be read; False at the end of the connection."""
    data = source.recv(65_536)
    while isinstance(source, ssl.SSLSocket) and source.pending():
        data += source.recv(65_536)
    sink.sendall(data)
    return bool(data)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    for name in ("server", "client", "other"):
        write_certificate(directory, name)
    return directory


@pytest.fixture
def endpoint(world: World, certificates: Path) -> Iterator[TlsEndpoint]:
    with TlsEndpoint(world.socket.removeprefix("unix://"), certificates) as endpoint:
        yield endpoint


def ask_async(url: str) -> bytes:
    async def ask() -> bytes:
        redis = AsyncRedis(url, deadline_s=10, name="test")
        redis.start()
        try:
            await redis.first_try()
            return bytes(await redis.ask(pack((b"PING",))))
        finally:
            await redis.stop()

    return asyncio.run(ask())


def ask_sync(url: str) -> bytes:
    redis = SyncRedis(url, "test", 10)
    try:
        return bytes(redis.call("PING"))
    finally:
        redis.close()


CASES = [
    # host, options, whether the endpoint wants a client's certificate, whether both get in
    ("127.0.0.1", "ssl_ca_certs={d}/server.pem", False, True),
    ("127.0.0.1", "ssl_ca_certs={d}/server.pem&db=2", False, True),
    ("127.0.0.1", "", False, False),
    ("127.0.0.1", "ssl_ca_certs={d}/other.pem", False, False),
    ("127.0.0.1", "ssl_ca_certs={d}/missing.pem", False, False),
    ("127.0.0.1", "ssl_cert_reqs=none", False, True),
    ("127.0.0.1", "ssl_cert_reqs=optional", False, False),
    ("localhost", "ssl_ca_certs={d}/server.pem", False, False),
    ("localhost", "ssl_ca_certs={d}/server.pem&ssl_check_hostname=false", False, True),
    ("127.0.0.1", "ssl_ca_certs={d}/server.pem", True, False),
    ("127.0.0.1", "ssl_ca_certs={d}/server.pem&ssl_certfile={d}/client.pem&ssl_keyfile={d}/client.key", True, True),
    ("127.0.0.1", "ssl_ca_certs={d}/server.pem&ssl_certfile={d}/other.pem&ssl_keyfile={d}/other.key", True, False),
]


@pytest.mark.parametrize("ask", [ask_async, ask_sync])
@pytest.mark.parametrize(("host", "options", "wants", "gets_in"), CASES)
def test_both_clients_follow_the_options_of_a_url(
    endpoint: TlsEndpoint, certificates: Path, ask: object, host: str, options: str, wants: bool, gets_in: bool
) -> None:
    assert callable(ask)
    endpoint.context.verify_mode = ssl.CERT_REQUIRED if wants else ssl.CERT_NONE
    url = f"rediss://{host}:{endpoint.port}?{options.format(d=certificates)}"
    if gets_in:
        assert ask(url) == b"PONG"
    else:
        with pytest.raises(BoardUnavailable):
            ask(url)
