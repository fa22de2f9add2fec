"""One PostgreSQL connection for the changes of a feature, which one transaction at a time uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg

from board.pg.connections import lifeline, make_write_error
from board.pg.turn_connection import TurnConnection


class WriteConnection(TurnConnection):
    """A connection for changes. Each transaction has `deadline_s` seconds in all."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, committed at the end of the block.

        Raises `StoreUnavailable` and `ServerUnreachable` (nothing was written), or `OutcomeUnknown`.
        """
        loop = asyncio.get_running_loop()
        deadline = await self._take_turn()
        try:
            connection = await self._connect(max(0.0, deadline - loop.time()), writes=True)
            try:
                with lifeline(connection, max(0.0, deadline - loop.time())):
                    async with connection.transaction():
                        yield Transaction(connection, self._sql)
            except psycopg.Error as error:
                failure = make_write_error(error, connection)
                await self.close()
                raise failure from error
        finally:
            self._turn.release()


class Transaction:
    """The statements of one transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], sql: dict[str, bytes]) -> None:
        self._connection: Final = connection
        self._sql: Final = sql

    async def run(self, name: str, parameters: dict[str, Any]) -> list[Any]:
        """Run a named query; its rows, if it has any."""
        cursor = await self._connection.execute(self._sql[name], parameters, prepare=True)
        return await cursor.fetchall() if cursor.description else []
