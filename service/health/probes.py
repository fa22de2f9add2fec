"""Readiness: does each part this worker needs answer in time?"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import psycopg

from board.errors import BoardUnavailable, LeaderboardError, WrongSchemaVersion
from board.pg import schema
from board.pg.connections import connect_async, lifeline
from board.pg.queries import queries
from service.boards.reader import Boards
from service.contract.types import Readiness


class Probes:
    """Checks of one worker, on a database connection of their own that is kept between calls."""

    def __init__(self, database_url: str, boards: Boards, deadline_s: float) -> None:
        self._url: Final = database_url
        self._boards: Final = boards
        self._deadline_s: Final = deadline_s
        self._versions: Final = queries()["schema_versions"]
        self._lock: Final = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def readiness(self) -> Readiness:
        """All checks at once, each within the deadline."""
        redis, (postgres, schema_state) = await asyncio.gather(self._redis(), self._postgres())
        ready = (redis, postgres, schema_state) == ("ok", "ok", "ok")
        return Readiness("ready" if ready else "not_ready", redis, postgres, schema_state)

    async def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            await self._connection.close()

    async def _redis(self) -> Literal["ok", "down"]:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._boards.ping()
        except (BoardUnavailable, TimeoutError):
            return "down"
        return "ok"

    async def _postgres(self) -> tuple[Literal["ok", "down"], Literal["ok", "missing", "unknown"]]:
        try:
            async with self._lock:
                if self._connection is None or self._connection.closed:
                    self._connection = await connect_async(self._url, "leaderboard-probe", timeout_s=self._deadline_s)
                with lifeline(self._connection, self._deadline_s):
                    rows = await (await self._connection.execute(self._versions)).fetchall()
        except psycopg.errors.UndefinedTable:
            return "ok", "missing"
        except (psycopg.Error, LeaderboardError):
            await self._drop()
            return "down", "unknown"
        try:
            schema.verdict([row[0] for row in rows])
        except WrongSchemaVersion:
            return "ok", "missing"
        return "ok", "ok"

    async def _drop(self) -> None:
        """A connection whose answer did not come is of no more use."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
