"""The status of the system, read from PostgreSQL and Redis: outbox, fences, seasons set aside, periods, events."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import msgspec
from psycopg.rows import class_row, scalar_row

from board.config.settings import Settings
from board.errors import BoardUnavailable
from board.partitions import PARTITIONS
from board.pg import schema
from board.pg.queries import queries
from board.redis.keyspace import Keyspace
from board.redis.masters import MasterStatus, RedisStatus, read_masters
from board.redis.options import parse_redis_url
from board.redis.sync_redis import SyncRedis
from board.redis.topology import Topology
from board.status import AilingRow, PartitionRow, PeriodStatus, State, compare_watermark
from ctl.connections import APPLICATION, REDIS_APART_S, connect_postgres


class PartitionStatus(msgspec.Struct, frozen=True):
    """One partition: hints that wait, age of the oldest in seconds, fences of both sides, times in ISO 8601.

    `redis_fence` is null when Redis holds none.
    """

    partition: int
    seasons: int
    pending: int
    oldest_s: float
    fence: int
    redis_fence: int | None
    state: State
    committed_at: str | None
    rebuilt_at: str | None


class AilingSeason(msgspec.Struct, frozen=True):
    """A season set aside: Redis' reason to refuse it, the number of tries, the time of the next one in ISO 8601."""

    season: str
    partition: int
    reason: str
    tries: int
    since: str
    retry_at: str


class Standby(msgspec.Struct, frozen=True):
    """A standby of PostgreSQL: the row of the query `standbys`.

    `lag_bytes` of WAL are not replayed there yet; null if it is not known. `sync` is async, sync, quorum or potential.
    State and sync are unknown to a role without the rights of pg_monitor.
    """

    name: str
    state: str
    sync: str
    lag_bytes: int | None


class Status(msgspec.Struct, frozen=True):
    """The status of the whole system: both servers (ok or down), totals, periods, their nodes, then every partition.

    `kind` is the kind of Redis (standalone, sentinel, cluster; unknown if it does not answer). `away` is the number of
    partitions whose boards no master serves now.
    """

    postgres: str
    redis: str
    pending: int
    oldest_s: float
    seasons: int
    ailing: list[AilingSeason]
    periods: PeriodStatus
    kind: str
    away: int
    masters: Sequence[MasterStatus]
    standbys: list[Standby]
    partitions: list[PartitionStatus]


def read_status(s: Settings) -> Status:
    """Ask both servers. A Redis that does not answer is part of the result.

    Raises `ServerUnreachable` and `WrongSchemaVersion`.
    """
    with connect_postgres(s) as db:
        schema.check_version(db)
        identity: str = db.cursor(row_factory=scalar_row).execute(queries()["identity"]).fetchone() or ""
        rows = db.cursor(row_factory=class_row(PartitionRow)).execute(queries()["status"]).fetchall()
        ailing = db.cursor(row_factory=class_row(AilingRow)).execute(queries()["seasons_set_aside"]).fetchall()
        (periods,) = db.cursor(row_factory=class_row(PeriodStatus)).execute(queries()["period_status"]).fetchall()
        standbys = db.cursor(row_factory=class_row(Standby)).execute(queries()["standbys"]).fetchall()
    try:
        nodes = read_masters(Topology(parse_redis_url(s.redis_url)), s.redis_prefix)
    except BoardUnavailable:
        nodes = RedisStatus("unknown", (), PARTITIONS)
    watermarks = _read_watermarks(s, [row.id for row in rows])
    partitions = []
    for row in rows:
        redis_fence, state = compare_watermark(row.fence, identity, (watermarks or {}).get(row.id))
        partitions.append(
            PartitionStatus(
                partition=row.id,
                seasons=row.seasons,
                pending=row.pending,
                oldest_s=round(row.oldest_s, 3),
                fence=row.fence,
                redis_fence=redis_fence,
                state=state,
                committed_at=_format_time(row.committed_at),
                rebuilt_at=_format_time(row.rebuilt_at),
            )
        )
    return Status(
        postgres="ok",
        redis="down" if watermarks is None else "ok",
        pending=sum(p.pending for p in partitions),
        oldest_s=max(p.oldest_s for p in partitions),
        seasons=sum(p.seasons for p in partitions),
        ailing=[
            AilingSeason(a.season_id, a.partition, a.reason, a.tries, a.since.isoformat(), a.retry_at.isoformat())
            for a in ailing
        ],
        periods=periods,
        kind=nodes.kind,
        away=nodes.away,
        masters=nodes.masters,
        standbys=standbys,
        partitions=partitions,
    )


def _read_watermarks(s: Settings, partitions: list[int]) -> dict[int, Any] | None:
    """Partition -> Redis' reply to HMGET of fence and identity; None when Redis does not answer."""
    keys = Keyspace(s.redis_prefix)
    with closing(SyncRedis(s.redis_url, APPLICATION, keys=keys, apart_s=REDIS_APART_S)) as redis:
        try:
            redis.connect()
            replies = redis.pipeline(*(("HMGET", keys.watermark[p], "fence", "identity") for p in partitions))
        except BoardUnavailable:
            return None
    return dict(zip(partitions, replies, strict=True))


def _format_time(instant: datetime.datetime | None) -> str | None:
    """ISO 8601."""
    return None if instant is None else instant.isoformat()
