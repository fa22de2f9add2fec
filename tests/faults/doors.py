"""Doors between the product and its servers that lose answers, cut payloads, break and lead elsewhere, on demand."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Final


class Door:
    """Forwards connections on a local port to a Unix socket, which may be changed.

    A trap is sprung once: `lose_answer` drops the next bytes that come from the server (what was asked is done) and
    breaks that connection; `cut_request` lets only so many of the next bytes through to the server and breaks it.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self._listener: Final = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: Final[int] = self._listener.getsockname()[1]
        self.delay_s = 0.0
        """How long every answer takes longer."""
        self._refusing = False
        self._closed = False
        self._flowing: Final = threading.Event()
        self._flowing.set()
        self._pairs: Final[set[tuple[socket.socket, socket.socket]]] = set()
        self._lock: Final = threading.Lock()
        self._answer_trap: Callable[[bytes], bool] | None = None
        self._request_trap: tuple[Callable[[bytes], bool], int] | None = None
        self.sprung: Final = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Break everything for good."""
        self._closed = True
        self.cut()
        self._flowing.set()
        self._listener.close()

    def freeze(self) -> None:
        """Nothing gets through, but connections stay."""
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

    def lose_answer(self, when: Callable[[bytes], bool]) -> None:
        """Lose the next answer that `when` accepts, and its connection with it."""
        self.sprung.clear()
        self._answer_trap = when

    def cut_request(self, when: Callable[[bytes], bool], after: int) -> None:
        """Let only `after` bytes of the next request that `when` accepts through, then break its connection."""
        self.sprung.clear()
        self._request_trap = (when, after)

    def disarm(self) -> bool:
        """Take unsprung traps away; whether one had been sprung."""
        self._answer_trap = self._request_trap = None
        return self.sprung.is_set()

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
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
        back.start()
        self._pump(client, server, False)
        back.join()
        with self._lock:
            self._pairs.discard(pair)
        client.close()
        server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(262144):
                self._flowing.wait()
                if answers:
                    if self._spring_answer(data):
                        return
                    if self.delay_s:
                        time.sleep(self.delay_s)
                elif (kept := self._spring_request(data)) is not None:
                    sink.sendall(data[:kept])
                    return
                sink.sendall(data)
        except OSError:
            pass
        finally:
            _shut(source)
            _shut(sink)

    def _spring_answer(self, data: bytes) -> bool:
        with self._lock:
            trap = self._answer_trap
            if trap is None or not trap(data):
                return False
            self._answer_trap = None
        self.sprung.set()
        return True

    def _spring_request(self, data: bytes) -> int | None:
        with self._lock:
            trap = self._request_trap
            if trap is None or not trap[0](data):
                return None
            self._request_trap = None
        self.sprung.set()
        return trap[1]


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
