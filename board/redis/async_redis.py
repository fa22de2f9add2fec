"""The master of Redis for the event loop of a worker, found anew at each connect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from board.redis.async_node import IN_FLIGHT_MOST, AsyncNode
from board.redis.async_protocol import pack
from board.redis.node import ClusterNode
from board.redis.options import Address, parse_redis_url
from board.redis.scripts import Script
from board.redis.topology import Topology
from board.redis.topology.lookout import Lookout

__all__ = ["IN_FLIGHT_MOST", "AsyncRedis", "pack"]


class AsyncRedis(AsyncNode):
    """The master behind a URL: the one host, the master among several, or the one that Sentinels name.

    Raises `InvalidSetting` for a URL that cannot be used. The other parameters are those of `AsyncNode`.
    """

    def __init__(self, url: str, *, deadline_s: float, scripts: Sequence[Script] = (), name: str) -> None:
        options = parse_redis_url(url)
        self._topology: Final = Topology(options)
        self._lookout: Final = Lookout(self._topology.locate, 0.0, 0.0) if options.sentinel else None
        super().__init__(options, self._find, deadline_s=deadline_s, scripts=scripts, name=name)

    async def _find(self) -> Address:
        if (fixed := self._topology.fixed) is not None:
            return fixed
        layout = await asyncio.to_thread(self._topology.locate)
        if layout.kind == "cluster":
            raise ClusterNode("Redis runs in cluster mode")
        return layout.masters[0]

    def _stray(self) -> str | None:
        """A master that was cut off, or stood still, answers until it learns of its successor: Sentinels know."""
        if self._lookout is not None and (layout := self._lookout.poll()) is not None:
            (master,) = layout.masters
            if master != self.address:
                return f"Redis has another master, {master} instead of {self.address}"
        return None
