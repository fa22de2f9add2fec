"""Poking the relays: partitions have fresh hints, and seasons look altered. Both are members of one sorted set."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from board.partitions import PARTITIONS
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from board.segments import split_board

POKE: Final = script("poke")
SUSPECT: Final = script("suspect")

SUSPICIONS_MOST: Final = 64
"""The most suspicions of one worker in `SUSPICIONS_S` seconds; each is told once in that time."""
SUSPICIONS_S: Final = 1.0


class Suspicion(msgspec.Struct, frozen=True):
    """A season whose board does not agree with itself; `user` is the player it was seen at, or empty.

    Without a season: the profiles of a partition, whose number stands for the player.
    """

    season: str
    user: str = ""

    @property
    def partition(self) -> int | None:
        """The partition whose profiles are suspected."""
        return parse_partition(self.user.encode()) if not self.season else None

    def mark(self) -> bytes:
        """The member of the sorted set. Names have no NUL. A relay of an older release ignores what is no number."""
        return b"!%b\0%b" % (self.season.encode(), self.user.encode())


def parse_poke(member: bytes) -> int | Suspicion | None:
    """The partition, or the suspicion, of a member of the sorted set; None for anything else."""
    if member[:1] == b"!":
        season, _, user = member[1:].decode("utf-8", "replace").partition("\0")
        return Suspicion(season, user)
    return parse_partition(member)


def parse_partition(text: bytes) -> int | None:
    """The number of a partition; None for anything else."""
    partition = int(text) if text.isdigit() else -1
    return partition if 0 <= partition < PARTITIONS else None


class Poker:
    """Pokes over a connection that others use, too."""

    def __init__(self, redis: AsyncRedis, keys: Keyspace) -> None:
        self._redis: Final = redis
        self._keys: Final = keys
        self._loop: Final = asyncio.get_running_loop()
        self._told: set[Suspicion] = set()
        self._told_since = 0.0

    def poke(self, partitions: set[int]) -> None:
        """Tell the relays that these partitions have fresh hints. A poke may be lost without harm: relays also poll."""
        # The whole script each time: nothing reads the reply, so nothing would learn that Redis has
        # forgotten the script.
        keys = self._keys
        self._redis.tell(pack((b"EVAL", POKE.source, b"2", keys.poke, keys.held, *(b"%d" % p for p in partitions))))

    def suspect(self, season: str, user: str = "") -> None:
        """Tell the relays to compare this season with PostgreSQL now. A suspicion may be lost: the sampler comes by.

        The board of a segment stands for that of its season.
        """
        self._suspect(Suspicion(split_board(season)[0], user))

    def suspect_profiles(self, partition: int) -> None:
        """Tell the relays to compare the profiles of a partition now."""
        self._suspect(Suspicion("", str(partition)))

    def _suspect(self, suspicion: Suspicion) -> None:
        now = self._loop.time()
        if now - self._told_since > SUSPICIONS_S:
            self._told.clear()
            self._told_since = now
        if suspicion not in self._told and len(self._told) < SUSPICIONS_MOST:
            self._told.add(suspicion)
            self._redis.tell(pack((b"EVAL", SUSPECT.source, b"1", self._keys.poke, suspicion.mark())))
