"""Connection limits: the number of a worker's clients, and one clock for all of them.

Once a second, one timer checks every connection. A request then needs no timer of its own.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from service.http.addresses import Addresses

log: Final = logging.getLogger(__name__)

FILES_KEPT: Final = 128
"""Open files of a worker besides its clients: connections to servers, logs, listening sockets, and a reserve."""

HELD_MOST_BYTES: Final = 128 * 1024 * 1024
"""Bytes that all connections of a worker may hold: large requests without an answer yet, and answers not read yet."""

_EVICTED_SHARE: Final = 10
"""One of so many silent connections is closed when there is no room."""


class ConnectionLimits(msgspec.Struct, frozen=True):
    """Bounds of one worker's connections.

    `connections` is their number at once, `per_address` the number of one client address (0: no limit). In seconds:
    `receive_s` for a head and for a body to make progress, `idle_s` for a connection between requests, `send_s` for a
    client to read its answers. `held_bytes` bounds what all of them hold.
    """

    connections: int
    receive_s: int
    idle_s: int
    send_s: int
    per_address: int = 0
    held_bytes: int = HELD_MOST_BYTES


class Client(Protocol):
    """The interface of a connection for the limiter."""

    def sweep(self, tick: int) -> None:
        """Check the time at a tick."""

    @property
    def silent_since(self) -> int | None:
        """The tick since which the connection waits for its client; None while it does not."""

    def evict(self) -> None:
        """Close, to make room."""

    def give_way(self) -> bool:
        """End, if the worker waits for the client; returns whether it did, so that its bytes are free."""


class ConnectionLimiter:
    """Counts the clients of a worker, and checks their time once a tick.

    `tick` is the number of ticks so far, of `TICK_S` seconds or, in a busy loop, longer. `admin` is the address of the
    bind for administrators, (host, port) or (path, None); None: there is none. `on_leaving` is called
    when the first connection learns that the worker stops.
    """

    SPARE: Final = 64
    """Clients beyond the limit that still get an answer (503). Any further ones are reset."""
    TICK_S: Final = 1.0

    def __init__(
        self,
        limits: ConnectionLimits,
        admin: tuple[str, int | None] | None = None,
        on_leaving: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_leaving: Final = on_leaving
        self.limits: Final = limits
        self.tick = 0
        self.leaving = False
        """Whether the worker stops: new connections are then closed after their first answer."""
        self._admin: Final = admin
        self._clients: set[Client] = set()
        self._full = False
        self._addresses: Final = Addresses(limits.per_address)
        self._crowded = False
        self._held: Final[dict[Client, int]] = {}
        self._held_bytes = 0
        self._spent = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer. Needs the running event loop."""
        self._timer = asyncio.get_running_loop().call_later(self.TICK_S, self._sweep)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def leave(self) -> None:
        """The worker stops."""
        self.leaving = True
        self._on_leaving()

    def enter(self, clients: set[Client]) -> int:
        """Count a client that is in `clients`, the worker's set of them; returns by how many they exceed the limit."""
        self._clients = clients
        excess = len(clients) - self.limits.connections
        if excess > 0 and not self._full:
            self._full = True
            log.warning("more than %d clients: refusing new ones and closing silent ones", self.limits.connections)
        return excess

    def enter_from(self, host: str) -> int:
        """The same for the client's address and its limit. Each call needs a `leave_from` later."""
        excess = self._addresses.enter(host)
        if excess and not self._crowded:
            self._crowded = True
            log.warning("more than %d clients from %s: refusing new ones", self.limits.per_address, host)
        return excess

    def leave_from(self, host: str) -> None:
        """Count a client of this address as gone."""
        self._addresses.leave(host)

    @property
    def held_bytes(self) -> int:
        """The bytes that all connections hold."""
        return self._held_bytes

    def hold(self, client: Client, size: int) -> None:
        """Note how many bytes a client holds now. Beyond the bound of all, those that have held longest give way.

        PERF: small requests and answers, as nearly all are, are not counted.
        """
        self._held_bytes += size - self._held.get(client, 0)
        if size:
            self._held[client] = size
        else:
            self._held.pop(client, None)
        if self._held_bytes > self.limits.held_bytes:
            self._free_bytes()

    def _free_bytes(self) -> None:
        """End the connections that have held bytes longest and wait for their clients, until the rest is in bounds.

        The oldest, since the slow ones must not keep the others out.
        """
        if not self._spent:
            self._spent = True
            log.warning("connections hold more than %d MiB: the oldest are ended", self.limits.held_bytes >> 20)
        for client in list(self._held):
            if self._held_bytes <= self.limits.held_bytes:
                return
            if client.give_way():
                self._held_bytes -= self._held.pop(client, 0)

    def hides_admin(self, address: tuple[str, int | None] | None) -> bool:
        """Whether a connection to this local address gets 404 for the operations of administrators."""
        return self._admin is not None and not self.is_admin(address)

    def is_admin(self, address: tuple[str, int | None] | None) -> bool:
        """Whether this local address is the bind for administrators."""
        if self._admin is None or address is None:
            return False
        # The port alone: a bind to all addresses shows the address in use. A Unix socket has a path and no port.
        return address[1] == self._admin[1] and (address[1] is not None or address[0] == self._admin[0])

    def _sweep(self) -> None:
        self.start()
        self.tick += 1
        self._crowded = self._spent = False
        for client in list(self._clients):
            client.sweep(self.tick)
        if self._full:
            self._full = False
            self._evict()

    def _evict(self) -> None:
        """Close the tenth of the connections that is silent longest. Silent clients must not keep others out."""
        silent = [(since, client) for client in self._clients if (since := client.silent_since) is not None]
        silent.sort(key=lambda pair: pair[0])
        for since, client in silent[: 1 + len(silent) // _EVICTED_SHARE]:
            if since < self.tick - 1:
                client.evict()


def fit_to_open_files(connections: int) -> int:
    """Raise the process's limit of open files to the maximum; returns `connections`, or fewer if the limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or connections + FILES_KEPT <= hard:
        return connections
    fitting = max(1, hard - FILES_KEPT)
    log.warning("the limit of %d open files allows a worker %d clients, not %d", hard, fitting, connections)
    return fitting
