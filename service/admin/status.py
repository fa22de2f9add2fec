"""The state of the system, from PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from board.errors import BoardUnavailable
from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.status import AilingRow, PartitionRow, PeriodStatus, State, compare_watermark, describe_periods
from service.admin.types import Finding, PartitionState, SeasonSetAside, SystemState
from service.contract.answers import Answer

BEHIND_S: Final = 10.0
"""The age of the oldest change from which on the relays are behind, as `/readyz` tells."""
MEANINGS: Final[dict[State, str]] = {
    "behind": "in {n} partitions Redis is behind PostgreSQL: their boards are rebuilt",
    "foreign": "in {n} partitions Redis has boards of another PostgreSQL: they are rebuilt",
}

_encode: Final = msgspec.json.Encoder().encode


class SystemStatus:
    """The state of the system, read by one worker. Reads raise `StoreUnavailable` and `ServerUnreachable`."""

    def __init__(self, reads: ReadConnection, redis: AsyncRedis, keys: Keyspace) -> None:
        self._reads: Final = reads
        self._redis: Final = redis
        self._keys: Final = keys

    async def show_status(self) -> Answer:
        """The state of the system (`SystemState`, 200). A Redis that does not answer is part of it."""
        ((identity,),) = await self._reads.read("identity", {})
        rows = [PartitionRow(*row) for row in await self._reads.read("status", {})]
        ailing = [AilingRow(*row) for row in await self._reads.read("seasons_set_aside", {})]
        (period_row,) = await self._reads.read("period_status", {})
        marks = await asyncio.gather(*(self._read_mark(row.id) for row in rows))
        partitions = [make_partition(row, identity or "", mark) for row, mark in zip(rows, marks, strict=True)]
        is_down = all(partition.state == "unknown" for partition in partitions)
        set_aside = [SeasonSetAside(a.season_id, a.partition, a.reason, a.tries, a.since, a.retry_at) for a in ailing]
        state = SystemState(
            findings=find(partitions, PeriodStatus(*period_row), len(ailing), is_down),
            redis="down" if is_down else "ok",
            pending=sum(p.pending for p in partitions),
            oldest_s=max(p.oldest_s for p in partitions),
            seasons=sum(p.seasons for p in partitions),
            set_aside=set_aside,
            partitions=partitions,
        )
        return Answer(200, _encode(state))

    async def _read_mark(self, partition: int) -> Any:
        """Fence and identity in the watermark of a partition; None if Redis does not answer."""
        try:
            return await self._redis.ask(pack((b"HMGET", self._keys.watermark[partition], b"fence", b"identity")))
        except BoardUnavailable:
            return None


def make_partition(row: PartitionRow, identity: str, mark: Any) -> PartitionState:
    """The state of a partition."""
    redis_fence, state = compare_watermark(row.fence, identity, mark)
    return PartitionState(
        row.id, row.seasons, row.pending, round(row.oldest_s, 3), row.fence, redis_fence, state, row.committed_at,
        row.rebuilt_at,
    )  # fmt: skip


def find(partitions: list[PartitionState], periods: PeriodStatus, ailing: int, is_down: bool) -> list[Finding]:
    """The findings in words, the wrong ones first."""
    found: list[tuple[str, bool]] = []
    oldest_s = max(p.oldest_s for p in partitions)
    pending = sum(p.pending for p in partitions)
    if oldest_s > BEHIND_S:
        found.append((f"the relays are behind: {pending:,} waiting, the oldest for {oldest_s:.0f} s", True))
    else:
        now = f"{pending:,} on their way" if pending else "every board is up to date"
        found.append((f"the relays follow: {now}", False))
    if is_down:
        found.append(("Redis does not answer: boards cannot be read; submissions go on", True))
    for state, text in MEANINGS.items():
        if n := sum(p.state == state for p in partitions):
            found.append((text.format(n=n), True))
    if ailing:
        found.append((f"{ailing:,} seasons are set aside, since Redis refuses them", True))
    found += describe_periods(periods)
    return [Finding(text, is_wrong) for text, is_wrong in sorted(found, key=lambda one: not one[1])]
