"""Where the masters of Redis are: one module for each kind of Redis, under both clients.

=================  ===========================================================================
``layout``         the answer: masters, and the owners of slots
``standalone``     one host, or several of which one is the master
``sentinel``       Sentinels that know the master
``cluster``        slots and their masters
``asking``         questions to nodes
``lookout``        looks in the background
=================  ===========================================================================
"""

from __future__ import annotations

import logging
from typing import Final

from board.redis.options import Address, RedisOptions
from board.redis.topology import cluster, sentinel, standalone
from board.redis.topology.layout import Layout

log: Final = logging.getLogger(__name__)

LOCATE_TIMEOUT_S: Final = 0.5
"""The time for each node to answer. Nodes are asked at once."""
FOLLOW_S: Final = 1.0
"""The pause between two questions to Sentinels while there is a connection to the master."""


class Topology:
    """The masters behind one REDIS_URL. `locate` asks anew at each call; it may be called from any thread."""

    def __init__(self, options: RedisOptions) -> None:
        self.options: Final = options
        self.fixed: Final = None if options.sentinel or options.more else options.addresses[0]
        """The only address, if there is no choice: nobody needs to be asked."""
        self._has_warned = False

    def locate(self, timeout_s: float = LOCATE_TIMEOUT_S) -> Layout:
        """The masters as they are now. Blocks. Raises `BoardUnavailable`, `WrongNode`."""
        if self.options.sentinel:
            views = sentinel.look(self.options, timeout_s)
            if sentinel.count_sentinels(views) % 2 == 0 and not self._has_warned:
                self._has_warned = True
                log.warning(sentinel.EVEN)
            return sentinel.choose(views)
        if self.fixed is not None:
            return Layout("standalone", (self.fixed,))
        return standalone.find(self.options, timeout_s)

    def locate_cluster(self, known: Layout | None = None, timeout_s: float = LOCATE_TIMEOUT_S) -> Layout:
        """The masters of a cluster as they are now; `known` nodes are asked as well. Blocks, and raises as `locate`."""
        seeds: dict[Address, None] = dict.fromkeys(self.options.addresses)
        if known is not None:
            seeds.update(dict.fromkeys((*known.masters, *known.replicas)))
        return cluster.find(self.options, tuple(seeds), timeout_s, known=known is not None)
