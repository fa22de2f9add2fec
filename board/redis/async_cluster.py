"""A cluster for one event loop: one connection for each master. A node that is away costs its own slots only.

A command is sent again only after an answer that says it was not executed: MOVED, ASK, TRYAGAIN, CLUSTERDOWN.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import hiredis

from board.errors import BoardUnavailable
from board.process.throttle import Throttle
from board.redis.async_node import AsyncNode
from board.redis.async_protocol import Waiter, pack
from board.redis.options import Address, RedisOptions
from board.redis.routing import find_slot, key_in
from board.redis.scripts import Script
from board.redis.topology import Topology
from board.redis.topology.layout import NOBODY, Layout

log: Final = logging.getLogger(__name__)

ASKING: Final = pack((b"ASKING",))
NOT_EXECUTED: Final = ("MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN")
TRIES: Final = 7
PAUSE_S: Final = 0.005
"""The pause before a command is sent again, unless a node is known that has it; it doubles."""
LOOK_S: Final = 10.0
LOOK_SOON_S: Final = 0.5
LOOK_LEAST_S: Final = 0.1
"""The pauses between two looks at the slots: if all is well, if a node is away, and at least."""
STALL_S: Final = 0.3
"""A node that owes a reply for this long gets no further command until it answers."""


class ClusterMaster(AsyncNode):
    """The connection to one master of a cluster."""

    def __init__(
        self,
        address: Address,
        options: RedisOptions,
        *,
        deadline_s: float,
        scripts: Sequence[Script],
        name: str,
        on_loss: Callable[[], None],
    ) -> None:
        async def place() -> Address:
            return address

        super().__init__(options, place, deadline_s=deadline_s, scripts=scripts, name=name, cluster=True)
        self.address = address
        self._tell_loss: Final = on_loss

    @property
    def stalled(self) -> bool:
        """Whether the node owes a reply for long."""
        protocol = self._protocol
        return protocol is not None and bool(protocol.sent_at) and self._loop.time() - protocol.sent_at[0] > STALL_S

    def put(self, command: bytes, waiter: Waiter | None) -> None:
        """Queue a packed command. Raises `BoardUnavailable`, also while the node is stalled."""
        if self.stalled:
            raise BoardUnavailable("Redis did not answer in time")
        self._put(command, waiter)

    def _on_loss(self) -> None:
        self._tell_loss()


class Routed:
    """Takes a waiter's place, and sends the command again where the answer says that it was not executed."""

    __slots__ = ("cluster", "command", "node", "pause_s", "tries", "waiter")

    def __init__(self, cluster: AsyncCluster, node: ClusterMaster, command: bytes, waiter: Waiter | None) -> None:
        self.cluster: Final = cluster
        self.node = node
        self.command: Final = command
        self.waiter: Final = waiter
        self.tries = TRIES
        self.pause_s = PAUSE_S

    def done(self) -> bool:
        return self.waiter is not None and self.waiter.done()

    def set_result(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError) and self.tries and str(reply).startswith(NOT_EXECUTED):
            self.tries -= 1
            self.cluster.redirect(self, str(reply))
        elif self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(reply)

    def set_exception(self, error: BaseException) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(error)


class AsyncCluster:
    """The masters of one cluster. `make_node` makes the connection to an address, given what to call at its loss."""

    def __init__(self, topology: Topology, make_node: Callable[[Address, Callable[[], None]], ClusterMaster]) -> None:
        self._topology: Final = topology
        self._make_node: Final = make_node
        self._loop: Final = asyncio.get_running_loop()
        self._wrong: Final = asyncio.Event()
        self._throttle: Final = Throttle()
        self._nodes: Final[dict[Address, ClusterMaster]] = {}
        self._owners: list[ClusterMaster | None] = []
        self._layout: Layout | None = None
        self.absence = "Redis does not answer"
        """The text of the error while the slots are unknown."""

    @property
    def nodes(self) -> Iterator[ClusterMaster]:
        """The connections to all masters."""
        return iter(self._nodes.values())

    async def run(self, on_first_try: Callable[[], None]) -> None:
        """Keep up with the slots, until cancelled; then close all connections."""
        try:
            while True:
                await self._look()
                on_first_try()
                well = self._layout is not None and all(node.connected for node in self._nodes.values())
                await asyncio.sleep(LOOK_LEAST_S)
                try:
                    async with asyncio.timeout(LOOK_S if well else LOOK_SOON_S):
                        await self._wrong.wait()
                except TimeoutError:
                    pass
        finally:
            for node in [*self._nodes.values()]:
                await node.stop()

    async def _look(self) -> None:
        self._wrong.clear()
        try:
            layout = await asyncio.to_thread(self._topology.locate_cluster, self._layout)
        except BoardUnavailable as error:
            self.absence = str(error)
            if self._throttle.admits(str(error)):
                log.warning("the slots of the cluster cannot be read: %s", error)
            return
        self._throttle.forget()
        if self._layout is None or layout.epoch >= self._layout.epoch:
            await self._adopt(layout)

    async def _adopt(self, layout: Layout) -> None:
        """Use these masters: connect to new ones, and leave those that are masters no more."""
        self._layout = layout
        nodes = [self._node(address) for address in layout.masters]
        self._owners = [None if owner == NOBODY else nodes[owner] for owner in layout.owners]
        for node in nodes:
            await node.first_try()
        # A node that a slot is on its way to may have none yet.
        for address in [a for a, node in self._nodes.items() if a not in layout.masters and not node.waiting]:
            await self._nodes.pop(address).stop()

    def put(self, command: bytes, waiter: Waiter | None) -> None:
        """Queue a packed command for the master of its key, or for any that answers if it has none.

        Raises `BoardUnavailable`.
        """
        key = key_in(command)
        node = self._any_node() if key is None else self.owner_of(find_slot(key))
        if node is None:
            raise BoardUnavailable(self.absence if not self._owners else "no master of the cluster has the slot")
        node.put(command, Routed(self, node, command, waiter))  # type: ignore[arg-type]

    def flush(self) -> None:
        """Write the queued commands now."""
        for node in self._nodes.values():
            node.flush()

    def redirect(self, routed: Routed, reply: str) -> None:
        """Send a command again that a node has not executed."""
        code, _, rest = reply.partition(" ")
        if code in ("MOVED", "ASK"):
            slot, _, place = rest.partition(" ")
            host, _, port = place.rpartition(":")
            assert routed.node.address is not None
            node = routed.node = self._node(Address(host or routed.node.address.host, int(port)))
            if code == "MOVED":
                self._owners[int(slot)] = node
                self._wrong.set()
            if node.connected:
                self._send(routed, asking=code == "ASK")
            else:
                self._send_later(routed, asking=code == "ASK")
        else:
            if code == "CLUSTERDOWN":
                self._wrong.set()
            self._send_later(routed, asking=False)

    def _send_later(self, routed: Routed, *, asking: bool) -> None:
        self._loop.call_later(routed.pause_s, self._send, routed, asking)
        routed.pause_s *= 2

    def _send(self, routed: Routed, asking: bool) -> None:
        if routed.done():
            return
        if not routed.node.connected and routed.tries:
            routed.tries -= 1
            self._send_later(routed, asking=asking)
            return
        try:
            if asking:
                routed.node.put(ASKING, None)
            routed.node.put(routed.command, routed)  # type: ignore[arg-type]
        except BoardUnavailable as error:
            routed.set_exception(error)

    def owner_of(self, slot: int) -> ClusterMaster | None:
        """The connection to the master of a slot; None if there is no such master, or none is known."""
        return self._owners[slot] if self._owners else None

    def _any_node(self) -> ClusterMaster | None:
        nodes = self._nodes.values()
        return next((node for node in nodes if node.connected and not node.stalled), None)

    def _node(self, address: Address) -> ClusterMaster:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = self._make_node(address, self._wrong.set)
            node.start()
        return node


def spell_out(script: Script, command: bytes) -> bytes:
    """A call of a script by its digest, packed, as the call by its source: every node understands it."""
    head, _, rest = command.partition(script.sha + b"\r\n")
    count = head[: head.index(b"\r\n")]
    name = b"$7\r\nEVAL_RO" if b"EVALSHA_RO" in head else b"$4\r\nEVAL"
    return b"%b\r\n%b\r\n$%d\r\n%b\r\n%b" % (count, name, len(script.source), script.source, rest)
