"""Redis for one thread: its master, or the masters of a cluster, found out at each connect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from redis.exceptions import ResponseError

from board.errors import BoardUnavailable
from board.redis.keyspace import Keyspace
from board.redis.node import ClusterNode
from board.redis.options import Address, parse_redis_url
from board.redis.scripts import Script
from board.redis.sync_cluster import SyncCluster
from board.redis.sync_node import CONNECTION_ERRORS, Argument, SyncNode
from board.redis.topology import FOLLOW_S, Topology
from board.redis.topology.layout import Layout
from board.redis.topology.lookout import Lookout

__all__ = ["CONNECTION_ERRORS", "ResponseError", "SyncRedis"]


class SyncRedis(SyncNode):
    """The Redis behind a URL: the one host, the master among several, the one that Sentinels name, or a cluster.

    `keys` are named as the kind of Redis has them when a connection opens: call `connect` before they are used. Nodes
    of a cluster have `apart_s` seconds to answer, if that is given; one that does not then raises `NodeUnavailable`
    instead of `BoardUnavailable`. Raises `InvalidSetting` for a URL that cannot be used.
    """

    def __init__(
        self, url: str, name: str, timeout_s: float = 2.0, *, keys: Keyspace | None = None, apart_s: float | None = None
    ) -> None:
        options = parse_redis_url(url)
        self._topology: Final = Topology(options)
        self._lookout: Final = Lookout(self._topology.locate, FOLLOW_S, FOLLOW_S) if options.sentinel else None
        self._keys: Final = keys
        self._apart_s: Final = apart_s
        self._cluster: SyncCluster | None = None
        super().__init__(options, self._find, name, timeout_s)

    @property
    def layout(self) -> Layout | None:
        """The masters and slots of a cluster; None if it is none, or there was no connection yet."""
        return None if self._cluster is None else self._cluster.layout

    def connect(self) -> None:
        """Open the connection, or those of a cluster, now. Raises `BoardUnavailable`."""
        if self._cluster is None:
            try:
                super().connect()
            except ClusterNode:
                self._find_cluster()
            else:
                self._adopt(cluster=False)
                return
        assert self._cluster is not None
        self._cluster.connect()

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        super().close()
        if self._cluster is not None:
            self._cluster.close()

    def follow(self) -> None:
        """Keep up with the topology. Never waits.

        Raises `BoardUnavailable`, and closes the connection, if Sentinels name another master meanwhile: one that was
        cut off, or stood still, takes writes until it learns of its successor.
        """
        if self._cluster is not None:
            self._cluster.follow()
        elif self._lookout is not None and (layout := self._lookout.poll()) is not None:
            (master,) = layout.masters
            if self.address not in (None, master):
                self.close()
                raise BoardUnavailable(f"Redis has another master: {master} instead of {self.address}")

    def node_of(self, key: bytes) -> SyncNode:
        """The connection to the master of a key, for payloads. Raises `BoardUnavailable`, `NodeUnavailable`."""
        cluster = self._opened()
        return self if cluster is None else cluster.node_of(key)

    def nodes(self) -> Iterator[SyncNode]:
        """The connections to all masters."""
        cluster = self._opened()
        return iter([self]) if cluster is None else cluster.nodes()

    def call(self, *args: Argument) -> Any:
        """Send one command, return its reply."""
        cluster = self._opened()
        return super().call(*args) if cluster is None else cluster.call(*args)

    def pipeline(self, *commands: tuple[Argument, ...]) -> list[Any]:
        """Send several commands at once; return the replies in order, error replies as `ResponseError` values."""
        cluster = self._opened()
        return super().pipeline(*commands) if cluster is None else cluster.pipeline(*commands)

    def run(self, script: Script, keys: list[bytes], args: list[bytes], groups: Any = ()) -> Any:
        """Call a script by its digest, return its reply (`SyncNode.run`)."""
        cluster = self._opened()
        return super().run(script, keys, args, groups) if cluster is None else cluster.run(script, keys, args, groups)

    def scan(self, pattern: bytes, count: int = 1_000) -> Iterator[bytes]:
        """Keys that match a glob-style pattern; a key may come twice."""
        cluster = self._opened()
        return super().scan(pattern, count) if cluster is None else cluster.scan(pattern, count)

    def _opened(self) -> SyncCluster | None:
        """The cluster, or None for one master; a closed connection is opened."""
        if self._cluster is None and self._connection is None:
            self.connect()
        return self._cluster

    def _find(self) -> Address:
        layout = self._topology.locate()
        if layout.kind == "cluster":
            raise ClusterNode("Redis runs in cluster mode")
        return layout.masters[0]

    def _find_cluster(self) -> None:
        layout = self._topology.locate_cluster()
        self._adopt(cluster=True)
        self._cluster = SyncCluster(self._topology, layout, self._make_node, apart=self._apart_s is not None)

    def _make_node(self, address: Address) -> SyncNode:
        timeout_s = self._timeout_s if self._apart_s is None else min(self._apart_s, self._timeout_s)
        return SyncNode(self._options, lambda: address, self._name, timeout_s, cluster=True)

    def _adopt(self, *, cluster: bool) -> None:
        if self._keys is not None:
            self._keys.adopt(cluster=cluster)
