"""The state of the system, from PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from board.errors import BoardUnavailable
from board.partitions import PARTITIONS
from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.redis.masters import RedisStatus
from board.redis.scripts import script
from board.status import AilingRow, PartitionRow, PeriodStatus, State, compare_watermark, describe_periods
from service.admin.types import (
    Finding,
    PartitionState,
    PostgresStandby,
    RedisMaster,
    RelayState,
    SeasonSetAside,
    SystemState,
)
from service.contract.answers import Answer

BEHIND_S: Final = 10.0
"""The age of the oldest change from which on the relays are behind, as `/readyz` tells."""
HELD: Final = script("held")
SEEN_S: Final = 600.0
"""A relay that had nothing to do for so long is not named: it may have ended."""
MEANINGS: Final[dict[State, str]] = {
    "behind": "in {n} partitions Redis is behind PostgreSQL: their boards are rebuilt",
    "foreign": "in {n} partitions Redis has boards of another PostgreSQL: they are rebuilt",
    "unknown": "in {n} partitions boards cannot be read: their master of Redis does not answer",
}

_NOTE: Final = re.compile(rb"-?(\d{1,15}):(.+)", re.DOTALL)
HOLD_MOST_MS: Final = 5_000
"""No relay holds a partition for longer; such a note is of another clock."""

_encode: Final = msgspec.json.Encoder().encode


class SystemStatus:
    """The state of the system, read by one worker. Reads raise `StoreUnavailable` and `ServerUnreachable`.

    `read_masters` asks all masters of Redis, and blocks; it raises `BoardUnavailable`.
    """

    def __init__(
        self, reads: ReadConnection, redis: AsyncRedis, keys: Keyspace, read_masters: Callable[[], RedisStatus]
    ) -> None:
        self._reads: Final = reads
        self._read_masters: Final = read_masters
        self._redis: Final = redis
        self._keys: Final = keys

    async def show_status(self) -> Answer:
        """The state of the system (`SystemState`, 200). A Redis that does not answer is part of it."""
        ((identity,),) = await self._reads.read("identity", {})
        rows = [PartitionRow(*row) for row in await self._reads.read("status", {})]
        ailing = [AilingRow(*row) for row in await self._reads.read("seasons_set_aside", {})]
        (period_row,) = await self._reads.read("period_status", {})
        ((connected,),) = await self._reads.read("doctor_pools", {})
        relays = await self._read_relays()
        marks = await asyncio.gather(*(self._read_mark(row.id) for row in rows))
        partitions = [make_partition(row, identity or "", mark) for row, mark in zip(rows, marks, strict=True)]
        is_down = all(partition.state == "unknown" for partition in partitions)
        set_aside = [SeasonSetAside(a.season_id, a.partition, a.reason, a.tries, a.since, a.retry_at) for a in ailing]
        state = SystemState(
            findings=find(partitions, PeriodStatus(*period_row), len(ailing), connected > 0 or bool(relays), is_down),
            redis="down" if is_down else "ok",
            pending=sum(p.pending for p in partitions),
            oldest_s=max(p.oldest_s for p in partitions),
            seasons=sum(p.seasons for p in partitions),
            set_aside=set_aside,
            partitions=partitions,
            relays_connected=connected,
            relays=relays,
            masters=await self._list_masters(),
            standbys=[PostgresStandby(*row) for row in await self._reads.read("standbys", {})],
        )
        return Answer(200, _encode(state))

    async def _list_masters(self) -> list[RedisMaster]:
        """The masters of Redis; none if Redis does not answer."""
        try:
            found = await asyncio.to_thread(self._read_masters)
        except BoardUnavailable:
            return []
        return [RedisMaster(**msgspec.structs.asdict(one)) for one in found.masters]

    async def _read_relays(self) -> list[RelayState]:
        """The relays that were at work lately; none if Redis does not answer."""
        numbers = (b"%d" % partition for partition in range(PARTITIONS))
        try:
            now, *notes = await self._redis.run(HELD, b"1", self._keys.held, *numbers)
        except BoardUnavailable:
            return []
        return list_relays(int(now), notes)

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


def list_relays(now_ms: int, notes: list[bytes | None]) -> list[RelayState]:
    """The relays that were at work lately, by their notes: one for each partition, as `poke.lua` has them."""
    found: dict[str, list[tuple[int, int]]] = {}
    for partition, note in enumerate(notes):
        match = None if note is None else _NOTE.fullmatch(note)
        if match is not None:
            found.setdefault(match[2].decode("utf-8", "replace"), []).append((partition, int(match[1])))
    relays = []
    for name, held in found.items():
        idle_s = max(0, now_ms - max(until for _, until in held)) / 1_000
        if idle_s <= SEEN_S:
            holds = sum(now_ms < until <= now_ms + HOLD_MOST_MS for _, until in held)
            relays.append(RelayState(name, [partition for partition, _ in held], holds, idle_s))
    return sorted(relays, key=lambda one: one.relay)


def find(
    partitions: list[PartitionState], periods: PeriodStatus, ailing: int, has_relays: bool, is_down: bool
) -> list[Finding]:
    """The findings in words, the wrong ones first."""
    found: list[tuple[str, bool]] = []
    oldest_s = max(p.oldest_s for p in partitions)
    pending = sum(p.pending for p in partitions)
    if oldest_s > BEHIND_S:
        found.append((f"the relays are behind: {pending:,} waiting, the oldest for {oldest_s:.0f} s", True))
    else:
        now = f"{pending:,} on their way" if pending else "every board is up to date"
        found.append((f"the relays follow: {now}", False))
    if not has_relays:
        found.append(("no relay is connected: no board changes without one", True))
    if is_down:
        found.append(("Redis does not answer: boards cannot be read; submissions go on", True))
    for state, text in MEANINGS.items():
        if (n := sum(p.state == state for p in partitions)) and not is_down:
            found.append((text.format(n=n), True))
    if ailing:
        found.append((f"{ailing:,} seasons are set aside, since Redis refuses them", True))
    found += describe_periods(periods)
    return [Finding(text, is_wrong) for text, is_wrong in sorted(found, key=lambda one: not one[1])]
