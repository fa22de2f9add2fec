"""The probe of PostgreSQL: a submission without content, and a commit, on a connection like those of the intake."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import msgspec
import psycopg

from _speedups import pack_int8_array, pack_text_array
from board.errors import LeaderboardError, WrongSchemaVersion
from board.partitions import PARTITIONS
from board.pg import schema
from board.pg.arrays import Int8Array, TextArray, adapt_arrays
from board.pg.connections import connect_async, first_line, lifeline
from board.pg.queries import queries
from service.health.types import Relays

BEHIND_S: Final = 10.0
"""The age of the oldest hint from which on the relays are behind."""
FRESH_S: Final = 1.0
"""After a commit of the intake the probe needs none of its own for this long."""
KEPT_S: Final = 0.2
"""For this long an outcome is given again: a client without a credential must not keep PostgreSQL busy."""
PATIENCE_S: Final = 10.0
PATIENCE_MOST_S: Final = 600.0
"""A connection that is silent for this long is given up. The time doubles with each one in a row: PostgreSQL keeps a
backend whose commit waits for a standby, although its client has gone."""

# Statistics of a queue are never right: without this the oldest hint may be looked for in the whole table.
_SESSION: Final = {"enable_seqscan": "off", "jit": "off"}
_NOTHING: Final = {
    "seasons": TextArray(pack_text_array([])),
    "users": TextArray(pack_text_array([])),
    "deltas": Int8Array(pack_int8_array([])),
}


class StoreState(msgspec.Struct, frozen=True):
    """The members of `Readiness` that PostgreSQL decides."""

    postgres: Literal["ok", "down"]
    schema: Literal["ok", "missing", "unknown"]
    relays: Relays


DOWN: Final = StoreState("down", "unknown", "unknown")


class StoreProbe:
    """The probe of one worker, with a connection of its own that stays open between calls.

    All callers share one look at PostgreSQL. One that outlives its callers goes on, so that a commit which waits for a
    standby holds one backend and not one for each call. `reason` tells why the last look did not succeed.
    """

    def __init__(self, database_url: str) -> None:
        self._url: Final = database_url
        self._loop: Final = asyncio.get_running_loop()
        self._look: asyncio.Task[StoreState] | None = None
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._patience_s = PATIENCE_S
        self._committed_at = self._kept_at = -PATIENCE_MOST_S
        self.reason = ""

    def note_commit(self) -> None:
        """The intake has committed submissions just now."""
        self._committed_at = self._loop.time()

    async def ask(self, deadline_s: float) -> StoreState:
        """The state of PostgreSQL within `deadline_s` seconds."""
        look = self._look
        if look is None or (look.done() and self._loop.time() - self._kept_at > KEPT_S):
            look = self._look = self._loop.create_task(self._look_at_it(), name="probe")
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.shield(look)
        except TimeoutError:
            self.reason = f"PostgreSQL does not answer within {deadline_s:g} s"
            return DOWN

    async def close(self) -> None:
        """Close the connection."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)
        await self._drop()

    async def _look_at_it(self) -> StoreState:
        try:
            return await self._try(again=self._connection is not None)
        finally:
            self._kept_at = self._loop.time()

    async def _try(self, *, again: bool) -> StoreState:
        """Look once; `again` allows a second try, on a new connection, if the old one turns out to be closed."""
        started = self._loop.time()
        try:
            connection = await self._connected()
            with lifeline(connection, self._patience_s):
                state = await self._examine(connection)
        except psycopg.errors.UndefinedTable as error:
            self.reason = first_line(error)
            return StoreState("ok", "missing", "unknown")
        except (psycopg.Error, LeaderboardError) as error:
            closed = self._connection is not None and self._connection.closed
            silent = self._loop.time() - started >= self._patience_s
            await self._drop()
            if closed and again and not silent:
                return await self._try(again=False)
            self._patience_s = min(2 * self._patience_s, PATIENCE_MOST_S) if silent else PATIENCE_S
            self.reason = first_line(error)
            return DOWN
        self._patience_s = PATIENCE_S
        return state

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await connect_async(self._url, "leaderboard-probe", session=_SESSION)
            adapt_arrays(self._connection)
        return self._connection

    async def _examine(self, connection: psycopg.AsyncConnection[Any]) -> StoreState:
        texts = queries()
        rows = await (await connection.execute(texts["schema_versions"], prepare=True)).fetchall()
        try:
            schema.verdict([row[0] for row in rows])
        except WrongSchemaVersion as error:
            self.reason = str(error)
            return StoreState("ok", "missing", "unknown")
        await connection.execute(texts["submit"], _NOTHING, prepare=True)
        if self._loop.time() - self._committed_at > FRESH_S:
            await connection.execute(texts["probe_commit"], prepare=True)
            self._committed_at = self._loop.time()
        cursor = await connection.execute(texts["oldest_hint"], {"partitions": PARTITIONS}, prepare=True)
        ((age_s,),) = await cursor.fetchall()
        self.reason = f"the oldest hint is {age_s:.0f} s old" if age_s > BEHIND_S else ""
        return StoreState("ok", "ok", "behind" if age_s > BEHIND_S else "ok")

    async def _drop(self) -> None:
        """Close a connection whose answer did not come: a late answer would be taken for that of the next query."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
