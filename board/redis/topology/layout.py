"""The masters of Redis, and which of them has a key."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from board.redis.options import Address

SLOTS: Final = 16_384
NOBODY: Final = -1

Kind = Literal["standalone", "sentinel", "cluster"]


class Layout(msgspec.Struct, frozen=True):
    """The masters, and for a cluster the owner of each slot: its place among `masters`, or `NOBODY`.

    `replicas` has the addresses of the other nodes. `epoch` orders the layouts of one Redis: a later one is greater.
    """

    kind: Kind
    masters: tuple[Address, ...]
    owners: Sequence[int] = ()
    replicas: tuple[Address, ...] = ()
    epoch: int = 0

    @property
    def missing(self) -> int:
        """Number of slots without an owner."""
        return sum(1 for owner in self.owners if owner == NOBODY)


def tag_of(key: bytes) -> bytes:
    """The part of a key that decides its slot: the text in its first braces, or all of it.

    https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
    """
    tag, closing, _ = key.partition(b"{")[2].partition(b"}")
    return tag if tag and closing else key


def slot_of(tag: bytes) -> int:
    """The slot of a tag: CRC-16 in the variant XMODEM, modulo the number of slots."""
    return crc_hqx(tag, 0) % SLOTS
