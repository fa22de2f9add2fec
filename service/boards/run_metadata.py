"""Metadata of the runs that boards show. They are in PostgreSQL: Redis holds nothing of them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from board.pg.read_connection import ReadConnection


class RunMetadata:
    """The metadata that one worker reads."""

    def __init__(self, reads: ReadConnection) -> None:
        self._read: Final = reads.read

    async def find(self, period: int, user: str, reached: int) -> Any:
        """The metadata of the player's run with this number, as JSON; None if it has none, or is not the newest one.

        Raises `StoreUnavailable` and `ServerUnreachable`.
        """
        rows = await self._read("find_metadata", {"period": period, "user": user, "reached": reached})
        return msgspec.Raw(rows[0][0].encode()) if rows else None
