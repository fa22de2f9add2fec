"""Metadata of the runs that boards show. They are in PostgreSQL: Redis holds nothing of them."""

from __future__ import annotations

from typing import Final

from board.pg.shared_reads import SharedReads


class RunMetadata:
    """The metadata that one worker reads, each within `deadline_s` seconds."""

    def __init__(self, database_url: str, deadline_s: float) -> None:
        self._reads: Final = SharedReads(database_url, deadline_s, "leaderboard-metadata")

    async def find(self, period: int, user: str, reached: int) -> str | None:
        """The metadata of the player's run with this number, as JSON; None if it has none, or is not the newest one.

        Raises `StoreUnavailable` and `ServerUnreachable`.
        """
        rows = await self._reads.read("find_metadata", {"period": period, "user": user, "reached": reached})
        return rows[0][0] if rows else None

    async def close(self) -> None:
        """Close the connection."""
        await self._reads.close()
