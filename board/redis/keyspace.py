"""Redis keys.

Every key of a partition carries its hash tag, so a batch, a rebuild or a read is one slot on Redis Cluster.

======================  ======  ==========================================================
``lb:{17}:w``           hash    watermark: ``fence``, ``identity``; ``n:<season>``: its players, period and mark of the
                                last batch that touched it, with ``:`` between them (the mark ends with ``.c`` where
                                players share ranks); ``counted``, the fence of the
                                last writer that kept these; ``since``, the fence at which they were forgotten;
                                ``profiles``, the number of profiles and the mark of the last batch with some;
                                ``profiled``, the fence of the last writer that carried all of them
``lb:{17}:p``           hash    season -> its current period
``lb:{17}:z:<season>``  zset    the board, best first
``lb:{17}:h:<season>``  hash    user id -> prefix of the user's member in the board
``lb:{17}:u``           hash    user id -> profile: display name, line break, attributes in JSON. The players are those
                                of this partition; the seasons in which they play may be of any
``lb:{17}:t``           set     temporary keys of a rebuild
``lb:poke``             zset    partitions with fresh hints (their numbers), seasons that a reader suspects (``!…``)
``lb:held``             hash    partition -> the relay that holds it, and until when (``poke.lua``)
``lb:{limits}:<owner>``  string  when the quota of a key (``k:``) or player (``u:``) is full again, in µs
======================  ======  ==========================================================
"""

from __future__ import annotations

from typing import Final

from board.partitions import PARTITIONS


class Keyspace:
    """All keys under one prefix."""

    def __init__(self, prefix: str) -> None:
        base = prefix.encode()
        self.poke: Final = base + b":poke"
        self.held: Final = base + b":held"
        self._limits: Final = base + b":{limits}:"
        self.tag: Final = [base + b":{%d}:" % p for p in range(PARTITIONS)]
        self.watermark: Final = [tag + b"w" for tag in self.tag]
        self.periods: Final = [tag + b"p" for tag in self.tag]
        self.profiles: Final = [tag + b"u" for tag in self.tag]
        self.loaded_profiles: Final = [tag + b"tu" for tag in self.tag]
        self.temporary: Final = [tag + b"t" for tag in self.tag]

    def limit(self, owner: bytes) -> bytes:
        """The quota of a key or a player. All quotas are in one slot, so that one script can spend of several."""
        return self._limits + owner

    def board(self, partition: int, season: bytes) -> bytes:
        """Sorted set of a season's players."""
        return self.tag[partition] + b"z:" + season

    def members(self, partition: int, season: bytes) -> bytes:
        """Hash of a season's member prefixes."""
        return self.tag[partition] + b"h:" + season

    def loaded_board(self, partition: int, season: bytes) -> bytes:
        """The board while a rebuild loads it."""
        return self.tag[partition] + b"tz:" + season

    def loaded_members(self, partition: int, season: bytes) -> bytes:
        """The prefixes while a rebuild loads them."""
        return self.tag[partition] + b"th:" + season
