"""Reading what a player submitted, from the ledger, a bounded part of it at a time."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from board.columns import read_columns, unpack_columns
from board.pg.read_connection import ReadConnection
from board.season import OPERATORS, count_columns, operator_of
from service.contract.answers import Answer
from service.contract.problems import INVALID_CURSOR, SEASON_NOT_FOUND, Rejected
from service.moderation.types import History, HistoryItem, SubmissionState

BLOCKS_MOST: Final = 8_192
"""Blocks of the ledger (8 KiB each) that one request looks through: half a million submissions or more."""
FIRST_PART: Final = "ledger_default"
"""The part that comes first in the order of the walk."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_PLACE: Final = re.compile(r"(ledger_(?:default|[0-9]{8}))\.([0-9]{1,10})\.([0-9]{1,5})")
_TID: Final = re.compile(r"\(([0-9]+),([0-9]+)\)")
_OTHERS: Final[dict[int, SubmissionState]] = {OPERATORS["best"]: "not-best", OPERATORS["last"]: "superseded"}
"""The state of submissions that are not the run which counts, by operator. Every one of a sum counts."""


class Place(msgspec.Struct, frozen=True):
    """A place in the ledger: a part of it, a block, and an item of the block. A walk goes on before it."""

    part: str
    block: int
    item: int

    def encode(self) -> str:
        """The cursor that leads here."""
        return urlsafe_b64encode(f"{self.part}.{self.block}.{self.item}".encode()).rstrip(b"=").decode()


def parse_place(text: str | None) -> Place | None:
    """The place that a cursor names; None for no cursor. Raises `Rejected`."""
    if text is None:
        return None
    try:
        decoded = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise Rejected(INVALID_CURSOR.answer) from error
    found = _PLACE.fullmatch(decoded)
    # PostgreSQL's numbers of blocks have 32 bits, those of items 16.
    if found is None or int(found[2]) >= 2**32 or int(found[3]) >= 2**16:
        raise Rejected(INVALID_CURSOR.answer)
    place = Place(found[1], int(found[2]), int(found[3]))
    if place.encode() != text:
        raise Rejected(INVALID_CURSOR.answer)
    return place


class PlayerHistory:
    """The histories of players, of one worker. Reads raise `StoreUnavailable` and `ServerUnreachable`."""

    def __init__(self, reads: ReadConnection, blocks_most: int = BLOCKS_MOST) -> None:
        self._read: Final = reads.read
        self._blocks_most: Final = blocks_most

    async def list_submissions(self, season: str, user: str, before: Place | None, limit: int) -> Answer:
        """List `limit` submissions of a player before a place in the ledger, the latest first (`History`, 200)."""
        found = await self._read("history_periods", {"season": season})
        if not found:
            return SEASON_NOT_FOUND.answer
        periods = {period: (number, columns) for period, number, columns, _ in found if period is not None}
        items: list[HistoryItem] = []
        following: Place | None = None
        if periods:
            oldest = f"ledger_{found[0][3]:%Y%m%d}"
            rows, following = await self._walk([*periods], oldest, user, before, limit)
            # Batches that were written at the same time lie in each other.
            items = sorted((make_item(row, periods) for row in rows), key=lambda item: -item.id)
        cursor = None if following is None else following.encode()
        return Answer(200, _encode(History(season, user, items, cursor)))

    async def _walk(
        self, periods: list[int], oldest: str, user: str, before: Place | None, limit: int
    ) -> tuple[list[Any], Place | None]:
        """The rows of at most `limit` submissions, and the place to go on from; None: all has been looked through."""
        parts = await self._read("ledger_parts", {"last": FIRST_PART if before is None else before.part})
        rows: list[Any] = []
        left = self._blocks_most
        for name, blocks in parts:
            if name < oldest:
                break
            high = Place(name, blocks, 0)
            if before is not None and before.part == name:
                high = before
            while high.block > 0 or high.item > 0:
                if not left:
                    return rows, high
                low = max(0, high.block - left)
                bounds = {"low": f"({low},0)", "high": f"({high.block},{high.item})"}
                asked = {"part": name, "periods": periods, "user": user, "most": limit - len(rows), **bounds}
                more = await self._read("history_rows", asked)
                rows += more
                if len(rows) == limit:
                    last = _TID.fullmatch(more[-1][0])
                    assert last is not None, "PostgreSQL spells places so"
                    return rows, Place(name, int(last[1]), int(last[2]))
                left -= min(left, max(1, high.block - low))
                high = Place(name, low, 0)
        return rows, None


def make_item(row: Sequence[Any], periods: Mapping[int, tuple[int, str | None]]) -> HistoryItem:
    """A submission of a row of the query `history_rows`."""
    _, submission, period, value, accepted_at, achieved_at, run, key_id, version, is_shown, *correction = row
    number, named = periods[period]
    state = "counted" if is_shown else _OTHERS.get(operator_of(period), "counted")
    corrected_by, action, corrected = correction
    if action == "void":
        state = "void"
    columns, metadata = read_run(period, named, run)
    return HistoryItem(
        submission,
        number,
        value,
        accepted_at,
        key_id or None,
        version or None,
        state,
        msgspec.UNSET if achieved_at is None else achieved_at,
        columns,
        metadata,
        msgspec.UNSET if corrected_by is None else corrected_by,
        msgspec.UNSET if corrected is None else corrected,
    )


def read_run(
    period: int, named: str | None, run: bytes | None
) -> tuple[dict[str, int] | msgspec.UnsetType, dict[str, Any] | msgspec.UnsetType]:
    """The columns and the metadata of a submission, as the ledger keeps them (0010_pre_ledger.sql)."""
    if run is None:
        return msgspec.UNSET, msgspec.UNSET
    end = 1 + 8 * run[0]
    columns = unpack_columns(read_columns(named), run[1:end]) if count_columns(period) else msgspec.UNSET
    return columns, _decode(run[end:]) if len(run) > end else msgspec.UNSET
