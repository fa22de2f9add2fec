"""The master of Redis for one thread, found anew at each connect."""

from __future__ import annotations

from typing import Final

from redis.exceptions import ResponseError

from board.errors import BoardUnavailable
from board.redis.node import ClusterNode
from board.redis.options import Address, parse_redis_url
from board.redis.sync_node import CONNECTION_ERRORS, SyncNode
from board.redis.topology import FOLLOW_S, Topology
from board.redis.topology.lookout import Lookout

__all__ = ["CONNECTION_ERRORS", "ResponseError", "SyncRedis"]


class SyncRedis(SyncNode):
    """The master behind a URL: the one host, the master among several, or the one that Sentinels name.

    Raises `InvalidSetting` for a URL that cannot be used.
    """

    def __init__(self, url: str, name: str, timeout_s: float = 2.0) -> None:
        options = parse_redis_url(url)
        self._topology: Final = Topology(options)
        self._lookout: Final = Lookout(self._topology.locate, FOLLOW_S, FOLLOW_S) if options.sentinel else None
        super().__init__(options, self._find, name, timeout_s)

    def follow(self) -> None:
        """Close the connection, and raise `BoardUnavailable`, if Sentinels name another master meanwhile. Never waits.

        A master that was cut off, or stood still, takes writes until it learns of its successor.
        """
        if self._lookout is not None and (layout := self._lookout.poll()) is not None:
            (master,) = layout.masters
            if self.address not in (None, master):
                self.close()
                raise BoardUnavailable(f"Redis has another master: {master} instead of {self.address}")

    def _find(self) -> Address:
        layout = self._topology.locate()
        if layout.kind == "cluster":
            raise ClusterNode("Redis runs in cluster mode")
        return layout.masters[0]
