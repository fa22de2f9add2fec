"""How many clients of one worker there may be at once, and one clock for all of them.

One timer a second looks at every connection, instead of one timer for each: a request then costs no timer at all.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import Final, Protocol

import msgspec

from service.http.addresses import Addresses

log: Final = logging.getLogger(__name__)

FILES_KEPT: Final = 128
"""Open files of a worker that are no clients: its servers' connections, logs, listening sockets, with room."""

_EVICTED: Final = 10


class ConnectionLimits(msgspec.Struct, frozen=True):
    """Clients of one worker at once, and seconds: for a head, for an idle connection, for reading an answer; and how
    many clients of one address there may be at once (0: any number)."""

    connections: int
    receive_s: int
    idle_s: int
    send_s: int
    per_address: int = 0


class Client(Protocol):
    """What the limiter asks of a connection."""

    def sweep(self, tick: int) -> None:
        """Look at the time."""

    def silent_since(self) -> int | None:
        """Since when nothing but the client is waited for."""

    def evict(self) -> None:
        """Make room."""


class ConnectionLimiter:
    """Counts the clients of a worker and sweeps them. `tick` counts seconds, or more when the loop is busy."""

    SPARE: Final = 64
    """So many clients beyond the limit are told so; those beyond these are reset."""
    TICK_S: Final = 1.0

    def __init__(self, limits: ConnectionLimits, admin: tuple[str, int | None] | None = None) -> None:
        self.limits: Final = limits
        self.tick = 0
        self.leaving = False
        """The worker stops: new connections are closed after their first answer."""
        self._admin: Final = admin
        self._clients: set[Client] = set()
        self._full = False
        self._addresses: Final = Addresses(limits.per_address)
        self._crowded = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to sweep; inside the loop."""
        self._timer = asyncio.get_running_loop().call_later(self.TICK_S, self._sweep)

    def stop(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()

    def enter(self, clients: set[Client]) -> int:
        """A client has come and is in `clients`, the worker's own set: how many there are beyond the limit."""
        self._clients = clients
        excess = len(clients) - self.limits.connections
        if excess > 0 and not self._full:
            self._full = True
            log.warning("more than %d clients: refusing new ones and closing silent ones", self.limits.connections)
        return excess

    def enter_from(self, host: str) -> int:
        """The same for a client's address: how many it has beyond its limit. Every such call needs a `leave_from`."""
        excess = self._addresses.enter(host)
        if excess and not self._crowded:
            self._crowded = True
            log.warning("more than %d clients from %s: refusing new ones", self.limits.per_address, host)
        return excess

    def leave_from(self, host: str) -> None:
        """A client of this address has gone."""
        self._addresses.leave(host)

    def hides_admin(self, address: tuple[str, int | None] | None) -> bool:
        """Whether operations for administrators are not there for a connection to this local address."""
        return self._admin is not None and not self.is_admin(address)

    def is_admin(self, address: tuple[str, int | None] | None) -> bool:
        """Whether a connection to this local address came to the bind for administrators."""
        if self._admin is None or address is None:
            return False
        # A port alone: a bind to all addresses shows the one that was used. A Unix socket has no port, but a path.
        return address[1] == self._admin[1] and (address[1] is not None or address[0] == self._admin[0])

    def _sweep(self) -> None:
        self.start()
        self.tick += 1
        self._crowded = False
        for client in list(self._clients):
            client.sweep(self.tick)
        if self._full:
            self._full = False
            self._evict()

    def _evict(self) -> None:
        """Close the tenth that is silent longest, so that clients who only sit there lock nobody out for long."""
        silent = [(since, client) for client in self._clients if (since := client.silent_since()) is not None]
        silent.sort(key=lambda pair: pair[0])
        for since, client in silent[: 1 + len(silent) // _EVICTED]:
            if since < self.tick - 1:
                client.evict()


def fit_to_open_files(connections: int) -> int:
    """Raise this process's limit of open files as far as it may be, and fit the number of clients into it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or connections + FILES_KEPT <= hard:
        return connections
    fitting = max(1, hard - FILES_KEPT)
    log.warning("the limit of %d open files allows a worker %d clients, not %d", hard, fitting, connections)
    return fitting
