"""One PostgreSQL connection for the reads of a feature, which one query at a time uses."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psycopg

from board.errors import ServerUnreachable, StoreUnavailable
from board.pg.connections import connect_async, first_line, is_open, lifeline
from board.pg.queries import queries


class ReadConnection:
    """A connection that is opened at the first query and stays open. Each query has `deadline_s` seconds in all."""

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

    async def read(self, name: str, parameters: dict[str, Any]) -> list[Any]:
        """The rows of a query. Raises `StoreUnavailable` and `ServerUnreachable`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._deadline_s
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise ServerUnreachable(f"PostgreSQL does not answer within {self._deadline_s:g} s") from error
        try:
            connection = await self._connect()
            with lifeline(connection, max(0.0, deadline - loop.time())):
                return await (await connection.execute(self._sql[name], parameters, prepare=True)).fetchall()
        except psycopg.Error as error:
            await self.close()
            raise StoreUnavailable(first_line(error)) from error
        finally:
            self._turn.release()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = self._connection
        if connection is None or connection.closed or not is_open(connection):
            await self.close()
            session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
            connection = self._connection = await connect_async(
                self._url, self._application, session=session, timeout_s=self._deadline_s
            )
        return connection
