"""Holds: partitions that a relay keeps for a moment, so that pokes for them do not wake other relays.

Under load a partition is poked for every commit of every worker, and its relay rests it a few milliseconds between two
batches. Without a hold each of these pokes would wake another relay, and all relays would take turns on the same
partition, in smaller batches. A hold decides nothing: the claim does. A hold that is lost, doubled or left behind by
a dead relay costs time only, and expires.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from typing import Final

from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from board.redis.sync_redis import ResponseError, SyncRedis

LEASE_MS: Final = 50
"""A hold expires this long after its rest: then its relay is dead, or has a batch of thousands of rows in hand."""


def make_name() -> bytes:
    """The name of this relay for people: host, process, and a random number, since hosts may have equal names."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64]
    return f"{host}/{os.getpid()}/{secrets.token_hex(4)}".encode()


class Holds:
    """The holds of one relay; each call is given the connection that the relay has at the time.

    A partition that was let go keeps a note of the relay that had it last.
    """

    def __init__(self, keys: Keyspace, rest_ms: int) -> None:
        self._keys: Final = keys
        self._me: Final = make_name()
        self._most: Final = b"%d" % (rest_ms + LEASE_MS)

    def take(self, redis: SyncRedis, partition: int) -> bool:
        """Hold a partition. False if another relay holds it; that relay is then marked to look again."""
        return self._ask(redis, b"take", partition)

    def leave(self, redis: SyncRedis, partition: int) -> None:
        """Let a partition go. If it was poked meanwhile, the poke wakes an idle relay now."""
        self._ask(redis, b"leave", partition)

    def _ask(self, redis: SyncRedis, verb: bytes, partition: int) -> bool:
        try:
            return bool(
                redis.run(
                    script("hold"), [self._keys.poke, self._keys.held], [verb, b"%d" % partition, self._me, self._most]
                )
            )
        except ResponseError:
            # Out of memory, read-only, or a key of another type: go on without holds.
            return True
