"""Redis for the event loop of a worker: its master, or the masters of a cluster, found out at each connect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from board.errors import BoardUnavailable
from board.redis.async_cluster import AsyncCluster, ClusterMaster, spell_out
from board.redis.async_node import IN_FLIGHT_MOST, AsyncNode
from board.redis.async_protocol import Waiter, pack
from board.redis.keyspace import Keyspace
from board.redis.node import ClusterNode
from board.redis.options import Address, parse_redis_url
from board.redis.routing import find_slot
from board.redis.scripts import Script
from board.redis.topology import Topology
from board.redis.topology.lookout import Lookout

__all__ = ["IN_FLIGHT_MOST", "AsyncRedis", "pack"]


class AsyncRedis(AsyncNode):
    """The Redis behind a URL: the one host, the master among several, the one that Sentinels name, or a cluster.

    `keys` are named as the kind of Redis has them, before the first command is sent. Raises `InvalidSetting` for a URL
    that cannot be used. The other parameters are those of `AsyncNode`.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float,
        scripts: Sequence[Script] = (),
        name: str,
        keys: Keyspace | None = None,
    ) -> None:
        options = parse_redis_url(url)
        self._topology: Final = Topology(options)
        self._lookout: Final = Lookout(self._topology.locate, 0.0, 0.0) if options.sentinel else None
        self._keys: Final = keys
        self._cluster: AsyncCluster | None = None
        super().__init__(options, self._find, deadline_s=deadline_s, scripts=scripts, name=name)

    @property
    def waiting(self) -> int:
        """Number of commands without a reply yet."""
        return super().waiting if self._cluster is None else sum(node.waiting for node in self._cluster.nodes)

    def spread(self, keys: Iterable[bytes]) -> list[bytes]:
        """Of these keys one for each master: in a cluster the first of each, otherwise the first of all."""
        first: dict[Any, bytes] = {}
        for key in keys:
            first.setdefault(None if self._cluster is None else self._cluster.owner_of(find_slot(key)), key)
        return [*first.values()]

    async def check_node(self) -> None:
        """Raise `BoardUnavailable` unless the master answers. The masters of a cluster are checked every second."""
        if self._cluster is None:
            await super().check_node()

    def flush(self) -> None:
        """Write the queued commands now; otherwise they leave at the end of this turn of the loop."""
        if self._cluster is None:
            super().flush()
        else:
            self._cluster.flush()

    def tell(self, command: bytes) -> None:
        """Queue a packed command and ignore its reply. It is dropped while there is no connection. Raises nothing."""
        if self._cluster is None:
            super().tell(command)
            return
        try:
            self._cluster.put(command, None)
        except BoardUnavailable:
            return

    async def _again(self, script: Script, command: bytes) -> Any:
        if self._cluster is None:
            return await super()._again(script, command)
        # Each node forgets, and learns, by itself, those that a slot is on its way to included.
        return await self.ask(spell_out(script, command))

    def _put_elsewhere(self, command: bytes, waiter: Waiter | None) -> None:
        if self._cluster is None:
            super()._put_elsewhere(command, waiter)
        else:
            self._cluster.put(command, waiter)

    async def _keep_connected(self) -> None:
        try:
            await super()._keep_connected()
        except ClusterNode:
            self._cluster = AsyncCluster(self._topology, self._make_node)
            self._adopt(cluster=True)
        assert self._cluster is not None
        await self._cluster.run(self._first_try.set)

    def _make_node(self, address: Address, on_loss: Callable[[], None]) -> ClusterMaster:
        return ClusterMaster(
            address,
            self._options,
            deadline_s=self._deadline_s,
            scripts=self._scripts,
            name=self._name,
            on_loss=on_loss,
        )

    async def _find(self) -> Address:
        if (fixed := self._topology.fixed) is not None:
            return fixed
        layout = await asyncio.to_thread(self._topology.locate)
        if layout.kind == "cluster":
            raise ClusterNode("Redis runs in cluster mode")
        return layout.masters[0]

    def _on_connect(self) -> None:
        self._adopt(cluster=False)

    def _adopt(self, *, cluster: bool) -> None:
        if self._keys is not None:
            self._keys.adopt(cluster=cluster)

    def _stray(self) -> str | None:
        """A master that was cut off, or stood still, answers until it learns of its successor: Sentinels know."""
        if self._lookout is not None and (layout := self._lookout.poll()) is not None:
            (master,) = layout.masters
            if master != self.address:
                return f"Redis has another master, {master} instead of {self.address}"
        return None
