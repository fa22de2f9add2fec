"""Probes: whether the process answers, and whether its work gets done: submissions committed, boards read."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Literal

import msgspec

from board.errors import BoardUnavailable
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.scripts import script
from service.contract.answers import Answer
from service.contract.problems import RETRY_AFTER_S
from service.health.store_probe import StoreProbe
from service.health.types import Health, Readiness

log: Final = logging.getLogger(__name__)

TOP: Final = script("top")

_encode = msgspec.json.Encoder().encode

ALIVE: Final = Answer(200, _encode(Health("ok")))


class Probes:
    """The probes of one worker. Each check has `deadline_s` seconds. Changes of the state are logged."""

    def __init__(self, redis: AsyncRedis, keys: Keyspace, store: StoreProbe, deadline_s: float) -> None:
        self._redis: Final = redis
        self._store: Final = store
        self._deadline_s: Final = deadline_s
        self._keys: Final = keys
        self._told: Readiness | None = None

    async def report_live(self) -> Answer:
        """Report that the process answers (`Health`, 200), whatever the state of its servers."""
        return ALIVE

    async def report_ready(self) -> Answer:
        """Report whether this worker can serve (`Readiness`, 200 or 503)."""
        state = await self.check()
        if state != self._told:
            self._tell(state)
        body: bytes = _encode(state)
        if state.status == "ready":
            return Answer(200, body)
        return Answer(503, body, retry_after_s=RETRY_AFTER_S)

    async def check(self) -> Readiness:
        """Check Redis, PostgreSQL, the schema and the relays, all at once."""
        redis, store = await asyncio.gather(self._ask_redis(), self._store.ask(self._deadline_s))
        ready = (redis, store.postgres, store.schema) == ("ok", "ok", "ok")
        return Readiness("ready" if ready else "not_ready", redis, store.postgres, store.schema, store.relays)

    def _tell(self, state: Readiness) -> None:
        """Log a change."""
        before, self._told = self._told, state
        if before is None and state.status == "ready" and state.relays == "ok":
            return
        text = f"redis {state.redis}, postgres {state.postgres}, schema {state.schema}, relays {state.relays}"
        if state.status == "ready" and state.relays == "ok":
            log.info("ready: %s", text)
        else:
            reason = f" ({self._store.reason})" if self._store.reason else ""
            log.warning("%s: %s%s", state.status.replace("_", " "), text, reason)

    async def close(self) -> None:
        """Close the connection to PostgreSQL."""
        await self._store.close()

    async def _ask_redis(self) -> Literal["ok", "down"]:
        """Whether a master of Redis answers a read like those of the boards. In a cluster one of them is enough.

        The worker serves the boards of the others then; another worker could do no more.
        """
        reads = []
        marks = self._keys.watermark
        for mark in self._redis.spread(marks):
            partition = marks.index(mark)
            reads.append(self._try(partition))
        return "ok" if True in await asyncio.gather(*reads) else "down"

    async def _try(self, partition: int) -> bool:
        """Whether the master of a partition answers a read of no season: it costs as much as any, and finds nothing."""
        keys = self._keys
        names = keys.watermark[partition], keys.board(partition, b""), keys.members(partition, b"")
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._redis.check_node()
                await self._redis.run(TOP, b"4", *names, keys.periods[partition], b"", b"0")
        except (BoardUnavailable, TimeoutError):
            return False
        return True
