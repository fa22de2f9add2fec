"""A cluster for one thread: one connection for each master. A node that is away costs its own slots only.

A command is sent again only after an answer that says it was not executed: MOVED, ASK, TRYAGAIN. CLUSTERDOWN says so as
well; there the caller's own pause is the right one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError, TryAgainError

from board.errors import BoardUnavailable
from board.process.backoff import Backoff
from board.redis.options import Address
from board.redis.replies import NodeUnavailable
from board.redis.routing import find_slot, key_of
from board.redis.scripts import Script
from board.redis.sync_node import Argument, SyncNode
from board.redis.topology import Topology
from board.redis.topology.layout import NOBODY, Layout
from board.redis.topology.lookout import Lookout

TRIES: Final = 6
PAUSE_S: Final = 0.01
"""The pause after TRYAGAIN; it doubles."""
LOOK_S: Final = 10.0
LOOK_SOON_S: Final = 0.25
"""The pause between two looks at the slots; the short one while something is wrong."""
REST_S: Final = 0.1
REST_MOST_S: Final = 1.0
"""The time for which a node that did not answer is not asked; it doubles with each failure in a row."""
NOT_EXECUTED: Final = (AskError, TryAgainError, ClusterDownError)  # MovedError is an AskError


class _Breaker:
    """Keeps commands from a node that did not answer, until it is time to try it again."""

    def __init__(self) -> None:
        self._backoff: Final = Backoff(REST_S, REST_MOST_S)
        self._until = 0.0

    def fail(self) -> None:
        self._until = time.monotonic() + self._backoff.failed()

    @property
    def open(self) -> bool:
        return time.monotonic() < self._until


class SyncCluster:
    """The masters of one cluster. `make_node` makes the connection to an address.

    A node that does not answer, and a slot without a node, raise `NodeUnavailable` if nodes are `apart`, else
    `BoardUnavailable`. Other error replies raise `ResponseError`.
    """

    def __init__(
        self, topology: Topology, layout: Layout, make_node: Callable[[Address], SyncNode], *, apart: bool
    ) -> None:
        self._make_node: Final = make_node
        self._apart: Final = apart
        self._nodes: Final[dict[Address, SyncNode]] = {}
        self._breakers: Final[dict[Address, _Breaker]] = {}
        self._lookout: Final = Lookout(lambda: topology.locate_cluster(self.layout), LOOK_S, LOOK_SOON_S)
        self._wrong = False
        self.layout = layout
        self._owners: list[Address | None] = []
        self._adopt(layout)

    def connect(self) -> None:
        """Connect to the masters. Raises `BoardUnavailable` if none answers; unless nodes are apart, if one is away."""
        errors: list[BoardUnavailable] = []
        for address in self.layout.masters:
            try:
                self._node(address).connect()
            except BoardUnavailable as error:
                self._fail(address)
                errors.append(error)
        if errors and (not self._apart or len(errors) == len(self.layout.masters)):
            raise errors[0]

    def close(self) -> None:
        """Close all connections."""
        for node in self._nodes.values():
            node.close()

    def follow(self) -> None:
        """Look at the slots now and then, in the background."""
        found = self._lookout.poll(soon=self._wrong)
        if found is not None and found.epoch >= self.layout.epoch:
            self._wrong = bool(self._breakers)
            self._adopt(found)

    def node_of(self, key: bytes) -> SyncNode:
        """The connection to the master of a key."""
        address = self._owner(key)
        breaker = self._breakers.get(address)
        if breaker is not None and breaker.open:
            raise self._error(f"Redis does not answer: {address}")
        return self._node(address)

    def nodes(self) -> Iterator[SyncNode]:
        """The connections to all masters."""
        return map(self._node, self.layout.masters)

    def call(self, *args: Argument) -> Any:
        """Send one command to the master of its key, or to any master if it has none; return its reply."""
        key = key_of(args)
        if key is None:
            return self._any_node().call(*args)
        return self._send(key, lambda node, asking: node.ask(*args, asking=asking))

    def run(self, script: Script, keys: list[bytes], args: list[bytes], groups: Any = ()) -> Any:
        """Call a script at the master of its keys, return its reply."""
        return self._send(keys[0], lambda node, asking: node.run_here(script, keys, args, groups, asking=asking))

    def pipeline(self, *commands: tuple[Argument, ...]) -> list[Any]:
        """Send each master its commands at once; return the replies in order, errors as `ResponseError` values."""
        places: dict[Address, list[int]] = {}
        replies: list[Any] = [None] * len(commands)
        for at, command in enumerate(commands):
            try:
                places.setdefault(self._owner(key_of(command) or b""), []).append(at)
            except NodeUnavailable as error:
                replies[at] = error
        try:
            self._exchange(commands, places, replies)
        except BoardUnavailable:
            # Replies of other nodes may be on their way.
            self.close()
            raise
        for at, reply in enumerate(replies):
            if isinstance(reply, NOT_EXECUTED):
                with self._values(replies, [at]):
                    replies[at] = self.call(*commands[at])
        return replies

    def _exchange(
        self, commands: tuple[tuple[Argument, ...], ...], places: dict[Address, list[int]], replies: list[Any]
    ) -> None:
        """Send the commands at these numbers to their nodes, then collect the replies."""
        sent = []
        for address, numbers in places.items():
            with self._values(replies, numbers), self._using(address) as node:
                node.send(node.pack(*(commands[at] for at in numbers)))
                sent.append(address)
        for address in sent:
            numbers = places[address]
            with self._values(replies, numbers), self._using(address) as node:
                for at, reply in zip(numbers, node.receive(len(numbers), keep_errors=True), strict=True):
                    replies[at] = reply

    def scan(self, pattern: bytes, count: int = 1_000) -> Iterator[bytes]:
        """Keys of all masters that match a glob-style pattern; a key may come twice."""
        for node in self.nodes():
            yield from node.scan(pattern, count)

    @contextmanager
    def _values(self, replies: list[Any], numbers: list[int]) -> Iterator[None]:
        """An error reply, or a node that is apart, becomes the value of these replies."""
        try:
            yield
        except ResponseError as error:
            for at in numbers:
                replies[at] = error

    def _send(self, key: bytes, send: Callable[[SyncNode, bool], Any]) -> Any:
        """Send a command to the master of its key, and again where the answer says that it was not executed."""
        address, asking, pause = self._owner(key), False, PAUSE_S
        for _ in range(TRIES):
            try:
                with self._using(address) as node:
                    return send(node, asking)
            except MovedError as error:
                address, asking = self._redirected(address, error), False
                self._owners[error.slot_id] = address
                self._wrong = True
            except AskError as error:
                address, asking = self._redirected(address, error), True
            except TryAgainError as error:
                last: ResponseError = error
                time.sleep(pause)
                pause *= 2
                continue
            except ClusterDownError as error:
                self._wrong = True
                raise self._error(f"Redis refused: {error}") from error
            last = TryAgainError(f"slot {find_slot(key)} moves between nodes")
        raise self._error(f"Redis refused: {last}") from last

    @staticmethod
    def _redirected(address: Address, error: AskError) -> Address:
        """The address in a redirection; one without a host is at the host that answered."""
        return Address(error.host or address.host, error.port)

    @contextmanager
    def _using(self, address: Address) -> Iterator[SyncNode]:
        """The connection to a node; if it is lost in the block, the node is left alone for a while."""
        breaker = self._breakers.get(address)
        if breaker is not None and breaker.open:
            self.follow()
            raise self._error(f"Redis does not answer: {address}")
        try:
            yield self._node(address)
        except BoardUnavailable as error:
            self._fail(address)
            raise self._error(str(error)) from error
        if breaker is not None:
            self._breakers.pop(address, None)

    def _fail(self, address: Address) -> None:
        self._wrong = True
        self._node(address).close()
        self._breakers.setdefault(address, _Breaker()).fail()
        self.follow()

    def _error(self, text: str) -> NodeUnavailable | BoardUnavailable:
        return NodeUnavailable(text) if self._apart else BoardUnavailable(text)

    def _owner(self, key: bytes) -> Address:
        slot = find_slot(key)
        address = self._owners[slot]
        if address is None:
            self._wrong = True
            raise self._error(f"no master of the cluster has slot {slot}")
        return address

    def _node(self, address: Address) -> SyncNode:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = self._make_node(address)
        return node

    def _any_node(self) -> SyncNode:
        for address in self.layout.masters:
            breaker = self._breakers.get(address)
            if breaker is None or not breaker.open:
                return self._node(address)
        raise self._error("no master of the cluster answers")

    def _adopt(self, layout: Layout) -> None:
        self.layout = layout
        self._owners = [None if owner == NOBODY else layout.masters[owner] for owner in layout.owners]
        for address in [address for address in self._nodes if address not in layout.masters]:
            self._nodes.pop(address).close()
            self._breakers.pop(address, None)
