"""One PostgreSQL connection for the reads of a feature, which one query at a time uses."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from board.errors import StoreUnavailable
from board.pg.connections import first_line, lifeline
from board.pg.turn_connection import TurnConnection


class ReadConnection(TurnConnection):
    """A connection for reads. Each query has `deadline_s` seconds in all."""

    async def read(self, name: str, parameters: dict[str, Any]) -> list[Any]:
        """The rows of a query. Raises `StoreUnavailable` and `ServerUnreachable`."""
        deadline = await self._take_turn()
        try:
            connection = await self._connect(self._deadline_s)
            with lifeline(connection, max(0.0, deadline - asyncio.get_running_loop().time())):
                return await (await connection.execute(self._sql[name], parameters, prepare=True)).fetchall()
        except psycopg.Error as error:
            await self.close()
            raise StoreUnavailable(first_line(error)) from error
        finally:
            self._turn.release()
