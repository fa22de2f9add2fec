"""Redis keys.

Every key of a partition carries its hash tag, so a batch, a rebuild or a read is one slot of a cluster. There the tag
of a partition is not its number: the slots of `EVEN_TAGS` have equal distances, so that masters get equal shares.

======================  ======  ==========================================================
``lb:{17}:w``           hash    watermark: ``fence``, ``identity``, ``stamp`` (fence and epoch); ``n:<season>``: its
                                players, period and mark of the last batch that touched it, with ``:`` between them (the
                                mark ends with ``.c`` where players share ranks); ``counted``, the fence of the
                                last writer that kept these; ``since``, the fence at which they were forgotten;
                                ``profiles``, the number of profiles and the mark of the last batch with some;
                                ``profiled``, the fence of the last writer that carried all of them
``lb:{17}:p``           hash    season -> its current period
``lb:{17}:z:<season>``  zset    the board, best first
``lb:{17}:h:<season>``  hash    user id -> prefix of the user's member in the board
``lb:{17}:u``           hash    user id -> profile: display name, line break, attributes in JSON. The players are those
                                of this partition; the seasons in which they play may be of any
``lb:{17}:g:<season>``  hash    user id -> the player's segments, a line each, such as ``country:KR``
``lb:{17}:v:<season>``  hash    segment -> number of its players
``lb:{17}:s:<season>``  zset    with a line break and a segment behind it: the segment's players, as in the board. The
                                watermark has ``s:<season>``: mark of the last batch that wrote them, and the attributes
``lb:{17}:t``           set     temporary keys of a rebuild
``lb:poke``             zset    partitions with fresh hints (their numbers), seasons that a reader suspects (``!…``)
``lb:held``             hash    partition -> the relay that holds it, or had it last, and until when (``poke.lua``)
``lb:{limits}:<owner>``  string  when the quota of a key (``k:``) or player (``u:``) is full again, in µs
``lb:used:<ticket>``     string  a ticket that was used, for as long as it would be valid
======================  ======  ==========================================================

A cluster has ``lb:{hpt}:w`` for partition 4, and so on; and ``lb:{q}:poke`` and ``lb:{q}:held``, which one script uses.
"""

from __future__ import annotations

from typing import Final

from board.partitions import PARTITIONS

EVEN_TAGS: Final = (
    b"53t j3j if5 kec hpt 74b akm 6bk 96a frw 0ip oin d1i 38o 0m0 xw he6 box 40w c9q hav 7ah azo 67a 1js fcu "
    b"0xr m5 1n3 3me e2j iu j2z 52d cmk 4dm 75r h5l 02bb ice 3y7 1za 2k6 8ax wu7 9w9 yg 8e8 7d8 5gn 6v9 41g jc0 "
    b"qkn 66q i6o 3h5 1kc 2z4 0yb 3lu des he e3z"
).split()
"""The tags of the partitions in a cluster: the shortest texts with the slots 128, 384, 640, … Never to be changed."""


class Keyspace:
    """All keys under one prefix: those of one Redis, or of a `cluster`.

    The kind of Redis is found out when it is reached. The clients call `adopt` then, before the first command.
    """

    tag: list[bytes]
    watermark: list[bytes]
    periods: list[bytes]
    profiles: list[bytes]
    loaded_profiles: list[bytes]
    temporary: list[bytes]
    poke: bytes
    held: bytes

    def __init__(self, prefix: str, *, cluster: bool = False) -> None:
        self._base: Final = prefix.encode()
        self._limits: Final = self._base + b":{limits}:"
        self._used: Final = self._base + b":used:"
        self.adopt(cluster=cluster)

    def adopt(self, *, cluster: bool) -> None:
        """Name the keys as this kind of Redis has them."""
        base = self._base
        tags = EVEN_TAGS if cluster else [b"%d" % p for p in range(PARTITIONS)]
        together = base + (b":{q}:" if cluster else b":")
        self.poke = together + b"poke"
        self.held = together + b"held"
        self.tag = [base + b":{%b}:" % tag for tag in tags]
        self.watermark = [tag + b"w" for tag in self.tag]
        self.periods = [tag + b"p" for tag in self.tag]
        self.profiles = [tag + b"u" for tag in self.tag]
        self.loaded_profiles = [tag + b"tu" for tag in self.tag]
        self.temporary = [tag + b"t" for tag in self.tag]

    def limit(self, owner: bytes) -> bytes:
        """The quota of a key or a player. All quotas are in one slot, so that one script can spend of several."""
        return self._limits + owner

    def used_ticket(self, number: bytes) -> bytes:
        """The mark of a used ticket."""
        return self._used + number

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

    def segment(self, partition: int, season: bytes, segment: bytes) -> bytes:
        """Sorted set of the players of a segment, such as ``country:KR``."""
        return self.tag[partition] + b"s:" + season + b"\n" + segment

    def segments(self, partition: int, season: bytes) -> bytes:
        """Hash of the segments of a season's players."""
        return self.tag[partition] + b"g:" + season

    def numbers(self, partition: int, season: bytes) -> bytes:
        """Hash of the numbers of players in a season's segments."""
        return self.tag[partition] + b"v:" + season

    def loaded_segment(self, partition: int, season: bytes, segment: bytes) -> bytes:
        """The board of a segment while a rebuild loads it."""
        return self.tag[partition] + b"ts:" + season + b"\n" + segment

    def loaded_segments(self, partition: int, season: bytes) -> bytes:
        """The segments of the players while a rebuild loads them."""
        return self.tag[partition] + b"tg:" + season

    def loaded_numbers(self, partition: int, season: bytes) -> bytes:
        """The numbers of players in segments while a rebuild loads them."""
        return self.tag[partition] + b"tv:" + season
