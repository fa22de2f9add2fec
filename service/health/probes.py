"""Probes: whether the process answers, and whether Redis and PostgreSQL answer it in time."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import msgspec
import psycopg

from board.errors import BoardUnavailable, LeaderboardError, WrongSchemaVersion
from board.pg import schema
from board.pg.connections import connect_async, lifeline
from board.pg.queries import queries
from board.redis.async_redis import AsyncRedis, pack
from service.contract.answers import Answer
from service.contract.problems import RETRY_AFTER_S
from service.health.types import Health, Readiness

_encode = msgspec.json.Encoder().encode

ALIVE: Final = Answer(200, _encode(Health("ok")))
_PING: Final = pack((b"PING",))


class Probes:
    """The probes of one worker. Each check has `deadline_s` seconds.

    They have their own PostgreSQL connection, which stays open between calls.
    """

    def __init__(self, database_url: str, redis: AsyncRedis, deadline_s: float) -> None:
        self._url: Final = database_url
        self._redis: Final = redis
        self._deadline_s: Final = deadline_s
        self._versions: Final = queries()["schema_versions"]
        self._lock: Final = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def report_live(self) -> Answer:
        """Report that the process answers (`Health`, 200), whatever the state of its servers."""
        return ALIVE

    async def report_ready(self) -> Answer:
        """Report whether this worker can serve (`Readiness`, 200 or 503)."""
        state = await self.check()
        body: bytes = _encode(state)
        if state.status == "ready":
            return Answer(200, body)
        return Answer(503, body, retry_after_s=RETRY_AFTER_S)

    async def check(self) -> Readiness:
        """Check Redis, PostgreSQL and the schema, all at once."""
        redis, (postgres, schema_state) = await asyncio.gather(self._ask_redis(), self._ask_postgres())
        ready = (redis, postgres, schema_state) == ("ok", "ok", "ok")
        return Readiness("ready" if ready else "not_ready", redis, postgres, schema_state)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _ask_redis(self) -> Literal["ok", "down"]:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._redis.ask(_PING)
        except (BoardUnavailable, TimeoutError):
            return "down"
        return "ok"

    async def _ask_postgres(self) -> tuple[Literal["ok", "down"], Literal["ok", "missing", "unknown"]]:
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
        """Close a connection whose answer did not come: a late answer would be taken for that of the next query."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
