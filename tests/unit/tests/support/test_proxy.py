"""The proxy of the tests: each verb breaks what it says it breaks, and nothing else."""

from __future__ import annotations

import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.proxy import Proxy, Target
from support.waiting import PATIENCE_S, eventually


class Server:
    """Answers each piece with its name and the piece; remembers what came, and which connections have ended."""

    def __init__(self, name: bytes, target: Target) -> None:
        self.received: list[bytes] = []
        self.ended = 0
        remembering = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    while piece := self.request.recv(65536):
                        remembering.received.append(piece)
                        self.request.sendall(name + piece)
                except OSError:
                    pass
                remembering.ended += 1

        kind = socketserver.ThreadingTCPServer if isinstance(target, tuple) else socketserver.ThreadingUnixStreamServer
        self.server = kind(target, Handler)  # type: ignore[arg-type]
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose path is short enough for a Unix socket."""
    made = Path(tempfile.mkdtemp(prefix="lb-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    made = Server(b"one ", str(directory / "one"))
    yield made
    made.close()


@pytest.fixture
def proxy(server: Server, directory: Path) -> Iterator[Proxy]:
    with Proxy(str(directory / "one")) as made:
        yield made


@contextmanager
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S) as connection:
        yield connection


def ask(connection: socket.socket, piece: bytes) -> bytes:
    """The reply; empty where the connection is broken."""
    try:
        connection.sendall(piece)
        return connection.recv(65536)
    except (ConnectionResetError, BrokenPipeError):
        return b""


def silent(connection: socket.socket) -> bool:
    """Whether neither bytes nor an end come within a fifth of a second."""
    connection.settimeout(0.2)
    try:
        connection.recv(65536)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE_S)
    return False


def works(proxy: Proxy) -> bool:
    """Whether a new connection is answered."""
    with client(proxy) as connection:
        return ask(connection, b"new") == b"one new"


def test_it_forwards_both_ways(proxy: Proxy, server: Server) -> None:
    with client(proxy) as connection:
        assert [ask(connection, piece) for piece in (b"a", b"b")] == [b"one a", b"one b"]
    eventually(lambda: server.ended == 1)


def test_it_forwards_to_a_port_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()
    server = Server(b"tcp ", address)
    try:
        with Proxy(address) as proxy, client(proxy) as connection:
            assert ask(connection, b"a") == b"tcp a"
    finally:
        server.close()


def test_without_a_server_connections_end(directory: Path) -> None:
    with Proxy(str(directory / "nothing")) as proxy, client(proxy) as connection:
        assert ask(connection, b"a") == b""


def test_refuse_leaves_existing_connections_alone(proxy: Proxy) -> None:
    with client(proxy) as old:
        assert ask(old, b"a") == b"one a"
        proxy.refuse()
        assert not works(proxy)
        assert ask(old, b"b") == b"one b"
        proxy.open()
        assert works(proxy)


def test_cut_breaks_existing_connections_and_refuses_new_ones(proxy: Proxy, server: Server) -> None:
    with client(proxy) as old:
        assert ask(old, b"a") == b"one a"
        proxy.cut()
        assert ask(old, b"b") == b""
        assert not works(proxy)
        proxy.open()
        assert works(proxy)
    eventually(lambda: server.ended == 2)
    assert b"b" not in server.received


def test_reset_breaks_existing_connections_only(proxy: Proxy) -> None:
    with client(proxy) as old:
        assert ask(old, b"a") == b"one a"
        proxy.reset()
        assert ask(old, b"b") == b""
        assert works(proxy)


def test_freeze_holds_bytes_back_until_open(proxy: Proxy, server: Server) -> None:
    with client(proxy) as old:
        assert ask(old, b"a") == b"one a"
        proxy.freeze()
        old.sendall(b"b")
        with client(proxy) as new:
            new.sendall(b"c")
            assert silent(old) and silent(new)
            assert server.received == [b"a"]
            proxy.open()
            assert old.recv(65536) == b"one b"
            assert new.recv(65536) == b"one c"


def test_cut_breaks_a_frozen_connection(proxy: Proxy, server: Server) -> None:
    with client(proxy) as old:
        assert ask(old, b"a") == b"one a"
        proxy.freeze()
        old.sendall(b"b")
        assert silent(old)
        proxy.cut()
        assert old.recv(65536) == b""
        proxy.open()
        assert works(proxy)
    assert b"b" not in server.received


def test_black_hole_mutes_existing_connections_for_ever(proxy: Proxy, server: Server) -> None:
    with client(proxy) as old:
        assert ask(old, b"a") == b"one a"
        proxy.black_hole()
        old.sendall(b"b")
        assert silent(old)
        assert works(proxy)
        proxy.open()
        old.sendall(b"c")
        assert silent(old)
    # The server is not told that the client of the muted connection has gone.
    eventually(lambda: server.ended == 1)
    assert works(proxy)
    eventually(lambda: server.ended == 2)
    assert server.received == [b"a", b"new", b"new"]


def test_a_lost_reply_is_the_reply_to_a_request_that_was_done(proxy: Proxy, server: Server) -> None:
    proxy.lose_reply(lambda data: data.endswith(b"b"))
    with client(proxy) as connection:
        assert ask(connection, b"a") == b"one a"
        assert not proxy.sprung.is_set()
        assert ask(connection, b"b") == b""
    assert proxy.sprung.is_set()
    eventually(lambda: server.received == [b"a", b"b"])
    with client(proxy) as connection:
        assert ask(connection, b"b") == b"one b"
    assert proxy.disarm()


def test_a_request_is_cut_at_a_byte(proxy: Proxy, server: Server) -> None:
    proxy.cut_request(lambda data: len(data) > 3, 2)
    with client(proxy) as connection:
        assert ask(connection, b"abc") == b"one abc"
        connection.sendall(b"abcdef")
        eventually(lambda: server.ended == 1)
    assert proxy.sprung.is_set()
    assert server.received == [b"abc", b"ab"]
    with client(proxy) as connection:
        assert ask(connection, b"abcdef") == b"one abcdef"


def test_a_removed_trap_does_nothing(proxy: Proxy) -> None:
    proxy.lose_reply(lambda data: True)
    proxy.cut_request(lambda data: True, 0)
    assert not proxy.disarm()
    assert works(proxy)


def test_redirect_is_for_new_connections(proxy: Proxy, directory: Path) -> None:
    other = Server(b"two ", str(directory / "two"))
    try:
        with client(proxy) as old:
            assert ask(old, b"a") == b"one a"
            proxy.redirect(str(directory / "two"))
            with client(proxy) as new:
                assert ask(new, b"b") == b"two b"
            assert ask(old, b"c") == b"one c"
    finally:
        other.close()


def test_a_late_reply_comes_whole(proxy: Proxy) -> None:
    proxy.delay_s = 0.3
    with client(proxy) as connection:
        connection.sendall(b"a")
        assert silent(connection)
        assert connection.recv(65536) == b"one a"


def test_watch_sees_the_bytes_of_clients(server: Server, directory: Path) -> None:
    seen: list[bytes] = []
    with Proxy(str(directory / "one"), watch=seen.append) as proxy, client(proxy) as connection:
        assert ask(connection, b"a") == b"one a"
    assert seen == [b"a"]


def test_close_breaks_connections_and_frees_the_port(server: Server, directory: Path) -> None:
    with ExitStack() as stack:
        with Proxy(str(directory / "one")) as proxy:
            frozen = stack.enter_context(client(proxy))
            assert ask(frozen, b"a") == b"one a"
            proxy.freeze()
            frozen.sendall(b"b")
        assert frozen.recv(65536) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S)
    eventually(lambda: server.ended == 1)
