"""One PostgreSQL connection of a feature, which one user at a time has: what reads and changes have in common."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psycopg

from board.errors import ServerUnreachable
from board.pg.connections import connect_async, is_open
from board.pg.queries import queries


class TurnConnection:
    """A connection that is opened at the first use and stays open. Each use has `deadline_s` seconds in all."""

    def __init__(self, database_url: str, application: str, deadline_s: float) -> None:
        self._url: Final = database_url
        self._application: Final = application
        self._deadline_s: Final = deadline_s
        self._sql: Final = queries()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn: Final = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _take_turn(self) -> float:
        """Wait for the turn, which the caller releases; returns the deadline on the loop's clock.

        Raises `ServerUnreachable` after the deadline.
        """
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise ServerUnreachable(f"PostgreSQL does not answer within {self._deadline_s:g} s") from error
        return deadline

    async def _connect(self, timeout_s: float, *, writes: bool = False) -> psycopg.AsyncConnection[Any]:
        connection = self._connection
        if connection is None or connection.closed or not is_open(connection):
            await self.close()
            session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
            connection = self._connection = await connect_async(
                self._url, self._application, session=session, timeout_s=timeout_s, writes=writes
            )
        return connection
