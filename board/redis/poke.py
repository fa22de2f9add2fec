"""Poking the relays: partitions have fresh hints."""

from __future__ import annotations

from typing import Final

from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.redis.scripts import script

POKE: Final = script("poke")


class Poker:
    """Pokes over a connection that others use, too."""

    def __init__(self, redis: AsyncRedis, keys: Keyspace) -> None:
        self._redis: Final = redis
        self._keys: Final = keys

    def poke(self, partitions: set[int]) -> None:
        """Tell the relays that these partitions have fresh hints. A poke may be lost without harm: relays also poll."""
        # The whole script each time: nothing reads the reply, so nothing would learn that Redis has
        # forgotten the script.
        keys = self._keys
        self._redis.tell(pack((b"EVAL", POKE.source, b"2", keys.poke, keys.held, *(b"%d" % p for p in partitions))))
