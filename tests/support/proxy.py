"""A TCP door in front of a server's Unix socket that can be shut, frozen and opened: a network that fails on demand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Final


class Proxy:
    """Forwards connections on a local port to a Unix socket.

    `freeze` keeps connections open and passes nothing on; `cut` breaks them all and refuses new ones; `open` ends both.
    A new `target` is for connections to come.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: Final[int] = self._listener.getsockname()[1]
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._closed = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.cut()
        self._flowing.set()
        self._listener.close()

    def freeze(self) -> None:
        """From now on nothing gets through, but connections stay, and new ones are accepted."""
        self._flowing.clear()

    def cut(self) -> None:
        """Break every connection, and every new one at once."""
        with self._lock:
            self._refusing = True
            for pair in self._pairs:
                for end in pair:
                    _shut(end)

    def open(self) -> None:
        """Work again."""
        self._refusing = False
        self._flowing.set()

    def look(self, data: bytes) -> None:
        """See what passes from client to server; for a door that counts."""

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.target)
        except OSError:
            client.close()
            server.close()
            return
        pair = (client, server)
        with self._lock:
            if self._refusing:
                client.close()
                server.close()
                return
            self._pairs.add(pair)
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        self._pump(client, server, self.look)
        back.join()
        with self._lock:
            self._pairs.discard(pair)
        client.close()
        server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, look: Callable[[bytes], None] | None = None) -> None:
        try:
            while data := source.recv(65536):
                if look is not None:
                    look(data)
                self._flowing.wait()
                sink.sendall(data)
        except OSError:
            pass
        finally:
            _shut(source)
            _shut(sink)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
