"""Cursors of the top list: opaque texts that name a board and the last row that was shown.

A cursor has the row's place in the order, not its rank: whoever does not move meanwhile is on one page and no other.
"""

from __future__ import annotations

import binascii
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from zlib import crc32

import msgspec

from board.columns import make_entry, split_member
from board.season import INT64_MAX, count_columns
from service.contract.problems import INVALID_CURSOR, Rejected
from service.contract.types import USER_ID_MAX
from service.contract.validation import is_plain

LONGEST: Final = 1_024
"""Characters of a cursor. That of the longest user id has fewer."""
VERSION: Final = 1
"""Of the form. Cursors of another one are refused."""
ZSCORE_MOST: Final = 2.0**53

_TEXT: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}")
_HEAD: Final = struct.Struct(">BIqd")
"""Version, checksum of season and all that follows, period, zscore. Then comes the member."""


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """A row of a board: the `period_id`, the zscore and the member, as they are in Redis.

    The season is in the checksum only. The order of the rows is told by the period (`board.season.order_of`).
    """

    checksum: int
    period: int
    zscore: float
    member: bytes

    def check(self, season: str) -> None:
        """Raise `Rejected` for a cursor of another season, or an altered one."""
        if self.checksum != compute_checksum(season, self.period, self.zscore, self.member):
            raise Rejected(INVALID_CURSOR.answer)

    def locate(self) -> tuple[int, int, str, bytes]:
        """The row as PostgreSQL has it: score (the higher the better), `reached`, player, packed columns.

        Raises `Rejected`.
        """
        try:
            entry = split_member(self.member, count_columns(self.period))
            score = entry.read_score(int(self.zscore))
            user = entry.user.decode()
        except ValueError as error:
            raise Rejected(INVALID_CURSOR.answer) from error
        if not is_plain(user, USER_ID_MAX) or entry.reached > INT64_MAX:
            raise Rejected(INVALID_CURSOR.answer)
        return score, entry.reached, user, entry.columns


def compute_checksum(season: str, period: int, zscore: float, member: bytes) -> int:
    """The CRC-32 by which a cursor belongs to its season."""
    return crc32(_HEAD.pack(VERSION, 0, period, zscore) + member, crc32(season.encode()))


def encode_cursor(season: str, period: int, zscore: bytes, member: bytes) -> str:
    """The cursor that leads to the rows behind this one. `zscore` is as Redis writes it."""
    number = float(zscore)
    head = _HEAD.pack(VERSION, compute_checksum(season, period, number, member), period, number)
    return spell(head + member)


def spell(data: bytes) -> str:
    """The text of a cursor's bytes."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_row(season: str, period: int, score: int, reached: int, user: str, columns: bytes = b"") -> str:
    """The cursor of a row as PostgreSQL has it; `score` is the higher the better, `columns` are packed."""
    zscore, prefix = make_entry(score, reached, columns)
    return encode_cursor(season, period, b"%d" % zscore, prefix + user.encode())


def parse_cursor(text: str | None) -> Cursor | None:
    """The cursor in a query; None for none. Raises `Rejected`. The season is not known yet (`Cursor.check`)."""
    if text is None:
        return None
    if _TEXT.fullmatch(text) is None:
        raise Rejected(INVALID_CURSOR.answer)
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        version, checksum, period, zscore = _HEAD.unpack_from(data)
    except (binascii.Error, struct.error) as error:
        raise Rejected(INVALID_CURSOR.answer) from error
    # Bits of the text that belong to no byte are in no checksum.
    if version != VERSION or not abs(zscore) <= ZSCORE_MOST or spell(data) != text:
        raise Rejected(INVALID_CURSOR.answer)
    return Cursor(checksum, period, zscore, data[_HEAD.size :])
