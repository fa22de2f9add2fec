"""A TCP proxy in front of a server: a network that fails on demand."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

Target = str | tuple[str, int]
"""The path of a Unix socket, or host and port."""

CHUNK: Final = 262_144


class Connection(msgspec.Struct, eq=False):
    """Both ends of a forwarded connection. Bytes of a muted one are dropped, in both directions."""

    client: socket.socket
    server: socket.socket
    muted: bool = False

    def shut(self) -> None:
        """Break both ends."""
        shut(self.client)
        shut(self.server)


class Proxy:
    """Forwards connections on a local TCP port to a server.

    `open` ends `refuse`, `cut` and `freeze`. A trap (`lose_reply`, `cut_request`) acts once, on the next bytes that its
    condition accepts, and sets `sprung`. Bytes are judged in the pieces in which they arrive. `watch` is called with
    every piece on its way from a client to the server.
    """

    def __init__(self, target: Target, *, watch: Callable[[bytes], None] | None = None) -> None:
        self.target: Target = target
        self.delay_s = 0.0
        """Seconds by which each reply is late."""
        self.sprung: Final = threading.Event()
        self._watch: Final = watch
        self._listener: Final = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: Final[int] = self._listener.getsockname()[1]
        self._refusing = False
        self._flowing: Final = threading.Event()
        self._flowing.set()
        self._connections: Final[set[Connection]] = set()
        self._lock: Final = threading.Lock()
        self._reply_trap: Callable[[bytes], bool] | None = None
        self._request_trap: tuple[Callable[[bytes], bool], int] | None = None
        self._acceptor: Final = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Break everything for good, and free the port."""
        self.cut()
        self._flowing.set()
        shut(self._listener)
        self._acceptor.join()
        self._listener.close()

    # --- Faults of the network

    def refuse(self) -> None:
        """Close every new connection at once; existing ones stay."""
        with self._lock:
            self._refusing = True

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self.refuse()
        self.reset()

    def reset(self) -> None:
        """Break every connection; new ones work."""
        with self._lock:
            for connection in self._connections:
                connection.shut()

    def freeze(self) -> None:
        """Hold back all bytes. Connections stay, new ones are accepted, and `open` passes the bytes on."""
        self._flowing.clear()

    def black_hole(self) -> None:
        """Drop all bytes of the connections that exist, for ever, and tell neither end; new connections work."""
        with self._lock:
            for connection in self._connections:
                connection.muted = True

    def open(self) -> None:
        """Work again."""
        with self._lock:
            self._refusing = False
        self._flowing.set()

    def redirect(self, target: Target) -> None:
        """Lead new connections to another server; existing ones stay where they are."""
        self.target = target

    # --- Traps

    def lose_reply(self, when: Callable[[bytes], bool]) -> None:
        """Drop the next reply that `when` accepts, and break its connection: the server has done its work."""
        self.sprung.clear()
        self._reply_trap = when

    def cut_request(self, when: Callable[[bytes], bool], after: int) -> None:
        """Pass only `after` bytes of the next request that `when` accepts, then break its connection."""
        self.sprung.clear()
        self._request_trap = (when, after)

    def disarm(self) -> bool:
        """Remove the traps; whether one had acted."""
        self._reply_trap = self._request_trap = None
        return self.sprung.is_set()

    # --- Forwarding

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._refusing:
            # The server must not see a connection that is refused.
            client.close()
            return
        try:
            server = connect(self.target)
        except OSError:
            client.close()
            return
        connection = Connection(client, server)
        with self._lock:
            refused = self._refusing
            if not refused:
                self._connections.add(connection)
        if not refused:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            replies = threading.Thread(target=self._pump, args=(connection, server, client, self._reply), daemon=True)
            replies.start()
            self._pump(connection, client, server, self._request)
            replies.join()
            with self._lock:
                self._connections.discard(connection)
        client.close()
        server.close()

    def _pump(
        self,
        connection: Connection,
        source: socket.socket,
        sink: socket.socket,
        judge: Callable[[bytes], tuple[bytes, bool]],
    ) -> None:
        try:
            while data := source.recv(CHUNK):
                self._flowing.wait()
                if connection.muted:
                    continue
                passed, goes_on = judge(data)
                sink.sendall(passed)
                if not goes_on:
                    break
        except OSError:
            pass
        finally:
            # A muted connection does not tell one end that the other has gone.
            shut(source)
            if not connection.muted:
                shut(sink)

    def _request(self, data: bytes) -> tuple[bytes, bool]:
        """The part of a client's bytes that is passed on, and whether the connection goes on."""
        if self._watch is not None:
            self._watch(data)
        with self._lock:
            trap = self._request_trap
            if trap is None or not trap[0](data):
                return data, True
            self._request_trap = None
        self.sprung.set()
        return data[: trap[1]], False

    def _reply(self, data: bytes) -> tuple[bytes, bool]:
        """The same for bytes of the server."""
        with self._lock:
            trap = self._reply_trap
            lost = trap is not None and trap(data)
            if lost:
                self._reply_trap = None
        if lost:
            self.sprung.set()
            return b"", False
        if self.delay_s:
            time.sleep(self.delay_s)
        return data, True


def connect(target: Target) -> socket.socket:
    """A connection to a server."""
    if isinstance(target, tuple):
        server = socket.create_connection(target)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(target)
    except OSError:
        server.close()
        raise
    return server


def shut(end: socket.socket) -> None:
    """Break a connection, or do nothing where it is broken already."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
