"""One PostgreSQL connection for the changes of a feature, which one transaction at a time uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg

from board.errors import ServerUnreachable
from board.pg.connections import connect_async, is_open, lifeline, make_write_error
from board.pg.queries import queries


class WriteConnection:
    """A connection that is opened at the first change and stays open. Each transaction has `deadline_s` seconds."""

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

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, committed at the end of the block.

        Raises `StoreUnavailable` and `ServerUnreachable` (nothing was written), or `OutcomeUnknown`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._deadline_s
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise ServerUnreachable(f"PostgreSQL does not answer within {self._deadline_s:g} s") from error
        try:
            connection = await self._connect(max(0.0, deadline - loop.time()))
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

    async def _connect(self, timeout_s: float) -> psycopg.AsyncConnection[Any]:
        connection = self._connection
        if connection is None or connection.closed or not is_open(connection):
            await self.close()
            session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
            connection = self._connection = await connect_async(
                self._url, self._application, session=session, timeout_s=timeout_s, writes=True
            )
        return connection


class Transaction:
    """The statements of one transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], sql: dict[str, bytes]) -> None:
        self._connection: Final = connection
        self._sql: Final = sql

    async def run(self, name: str, parameters: dict[str, Any]) -> list[Any]:
        """Run a named query; its rows, if it has any."""
        cursor = await self._connection.execute(self._sql[name], parameters, prepare=True)
        return await cursor.fetchall() if cursor.description else []
