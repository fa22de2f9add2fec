"""Readiness: does each part this worker needs answer in time?"""

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
    """Checks of one worker, on a database connection of their own that is kept between calls."""

    def __init__(self, database_url: str, redis: AsyncRedis, deadline_s: float) -> None:
        self._url: Final = database_url
        self._redis: Final = redis
        self._deadline_s: Final = deadline_s
        self._versions: Final = queries()["schema_versions"]
        self._lock: Final = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def report_live(self) -> Answer:
        """The process answers, whatever its servers do."""
        return ALIVE

    async def report_ready(self) -> Answer:
        """Whether this worker can serve."""
        state = await self.check()
        body: bytes = _encode(state)
        if state.status == "ready":
            return Answer(200, body)
        return Answer(503, body, retry_after_s=RETRY_AFTER_S)

    async def check(self) -> Readiness:
        """All checks at once, each within the deadline."""
        redis, (postgres, schema_state) = await asyncio.gather(self._ask_redis(), self._ask_postgres())
        ready = (redis, postgres, schema_state) == ("ok", "ok", "ok")
        return Readiness("ready" if ready else "not_ready", redis, postgres, schema_state)

    async def close(self) -> None:
        """Give the connection back."""
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
        """A connection whose answer did not come is of no more use."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
