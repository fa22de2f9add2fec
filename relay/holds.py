"""Which partitions a relay keeps to itself for a moment, so that pokes for them wake nobody else.

Under load a partition is poked for every commit of every worker, and its relay rests it a few milliseconds between two
batches. Without a hold each poke of that time would wake another relay, and all would carry the same partition in turn,
in batches as many times smaller. A hold decides nothing: the claim does. One that is lost, doubled or left
behind by a dead relay costs time only, and passes by itself.
"""

from __future__ import annotations

import secrets
from typing import Final

from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from board.redis.sync_redis import ResponseError, SyncRedis

LEASE_MS: Final = 50
"""A hold ends so long after its rest by itself: its relay is dead, or has a batch of thousands of rows in hand."""


class Holds:
    """The holds of one relay, by whatever connection it has at the time."""

    def __init__(self, keys: Keyspace, rest_ms: int) -> None:
        self._keys: Final = [keys.poke, keys.held]
        self._me: Final = secrets.token_hex(4).encode()
        self._most: Final = b"%d" % (rest_ms + LEASE_MS)

    def take(self, redis: SyncRedis, partition: int) -> bool:
        """Hold a partition. False when another relay does: it knows now that there is something to look for."""
        return self._ask(redis, b"take", partition)

    def leave(self, redis: SyncRedis, partition: int) -> None:
        """Let it go; if somebody poked meanwhile, the poke wakes a relay now: whoever has nothing to do."""
        self._ask(redis, b"leave", partition)

    def _ask(self, redis: SyncRedis, what: bytes, partition: int) -> bool:
        try:
            return bool(redis.run(script("hold"), self._keys, [what, b"%d" % partition, self._me, self._most]))
        except ResponseError:
            # Out of memory, read-only, or somebody else's key: go on as if there were no holds.
            return True
