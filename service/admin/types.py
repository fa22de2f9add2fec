"""Bodies of requests and answers of the operations for operators."""

from __future__ import annotations

import datetime
from typing import Annotated, Final

import msgspec

from board.status import State
from service.contract.scopes import Scope
from service.contract.types import SeasonId

Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-29T10:00:00Z"])]
Count = Annotated[int, msgspec.Meta(ge=0, examples=[0])]
Seconds = Annotated[float, msgspec.Meta(ge=0, examples=[0.0])]
Partition = Annotated[int, msgspec.Meta(ge=0, examples=[17])]


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key to sign in with; it has the scope `admin`."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=200, examples=["lb_4fT9s0aKqZ_..."])]


class OpenSession(msgspec.Struct, frozen=True):
    """The session of the request's cookie.

    `isOpen`: the server runs open, and needs none. `token` goes into `Authorization: Bearer` of each request of the
    page. The other members are those of the session and of its key; they are null where there is no session.
    """

    isOpen: Annotated[bool, msgspec.Meta(examples=[False])]
    token: Annotated[str, msgspec.Meta(examples=["lbs_c2Vzc2lvbg"])] | None = None
    expiresAt: Instant | None = None
    keyId: Annotated[str, msgspec.Meta(examples=["4fT9s0aKqZ"])] | None = None
    scopes: Annotated[list[Scope], msgspec.Meta(examples=[["read", "submit", "admin"]])] | None = None
    seasons: list[SeasonId] | None = None


class SignedOut(msgspec.Struct, frozen=True):
    """The session has ended; its cookie is good for nothing."""

    signedOut: Annotated[bool, msgspec.Meta(examples=[True])]


class PartitionState(msgspec.Struct, frozen=True, rename="camel"):
    """One partition: its seasons, the changes that wait for their board, the age of the oldest, both sides' fences.

    `state` compares the fences: `behind` (Redis lost something), `foreign` (another PostgreSQL wrote it), `unknown`
    (Redis does not answer).
    """

    partition: Partition
    seasons: Count
    pending: Count
    oldest_s: Seconds
    fence: Count
    redis_fence: Count | None
    state: State
    committed_at: Instant | None
    rebuilt_at: Instant | None


class SeasonSetAside(msgspec.Struct, frozen=True, rename="camel"):
    """A season that Redis refuses: the reason, the number of tries, and the time of the next one."""

    season_id: SeasonId
    partition: Partition
    reason: Annotated[str, msgspec.Meta(examples=["WRONGTYPE"])]
    tries: Count
    since: Instant
    retry_at: Instant


class RelayState(msgspec.Struct, frozen=True, rename="camel"):
    """A relay that was at work in the last ten minutes: its host and process, the partitions that it had last, how many
    of them it holds at this moment, and the seconds since it had one.
    """

    relay: Annotated[str, msgspec.Meta(examples=["api1/4711/9f3c2a1b"])]
    partitions: list[Partition]
    held: Count
    idle_s: Seconds


Bytes = Annotated[int, msgspec.Meta(ge=0, examples=[1_048_576])]


class RedisMaster(msgspec.Struct, frozen=True, rename="camel"):
    """A master of Redis: whether it answers, the partitions that it has, its replicas and how far the last is behind.

    What it does not tell is null. `limitBytes` is the memory that it may use; 0: no limit.
    """

    address: Annotated[str, msgspec.Meta(examples=["redis1:6379"])]
    up: Annotated[bool, msgspec.Meta(examples=[True])]
    partitions: Count
    replicas: Count | None
    lag_bytes: Bytes | None
    used_bytes: Bytes | None
    limit_bytes: Bytes | None


class PostgresStandby(msgspec.Struct, frozen=True, rename="camel"):
    """A standby of PostgreSQL, and the WAL that it has not replayed; null: not known to this role."""

    name: Annotated[str, msgspec.Meta(examples=["standby1"])]
    state: Annotated[str, msgspec.Meta(examples=["streaming"])]
    sync: Annotated[str, msgspec.Meta(examples=["async"])]
    lag_bytes: Bytes | None


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """A statement about the system; `isWrong`: somebody should do something."""

    text: Annotated[str, msgspec.Meta(examples=["keeper at work"])]
    is_wrong: Annotated[bool, msgspec.Meta(examples=[False])]


class SystemState(msgspec.Struct, frozen=True, rename="camel"):
    """The state of the whole system: findings in words, the wrong ones first; totals; partitions; seasons set aside.

    `relaysConnected`: the relays with a connection to PostgreSQL. `relays`: those of them that had something to do.
    """

    findings: list[Finding]
    redis: Annotated[str, msgspec.Meta(examples=["ok"])]
    pending: Count
    oldest_s: Seconds
    seasons: Count
    set_aside: list[SeasonSetAside]
    partitions: list[PartitionState]
    relays_connected: Count
    relays: list[RelayState]
    masters: list[RedisMaster]
    standbys: list[PostgresStandby]


Rate = Annotated[float, msgspec.Meta(ge=0, examples=[812.5])]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, examples=[2.4])]
MINUTES_MOST: Final = 360
Minutes = Annotated[int, msgspec.Meta(ge=1, le=MINUTES_MOST, examples=[60])]


class Latency(msgspec.Struct, frozen=True, rename="camel"):
    """From the head of a request to its answer: the median, and the time that 99 of 100 did not exceed."""

    p50_ms: Milliseconds
    p99_ms: Milliseconds


class TrafficPoint(msgspec.Struct, frozen=True, rename="camel"):
    """The traffic of the `seconds` before an instant.

    Submissions are counted at their commit, each one of a batch; reads are those of boards. `failuresPerS`: answers
    with a status from 500 on, of all operations. Latencies are null where nothing was answered.
    """

    at: Instant
    seconds: Seconds
    submissions_per_s: Rate
    reads_per_s: Rate
    failures_per_s: Rate
    submission: Latency | None
    read: Latency | None


class Traffic(msgspec.Struct, frozen=True, rename="camel"):
    """The traffic of the server that answers: all workers of one host. Other hosts have figures of their own.

    `since`: what is known begins there; null right after a start. `latest`: the last seconds; null, too, until there
    are some. `points`: the earlier traffic, the oldest first. `longPolls` are reads that wait for a change.
    """

    workers: Count
    streams: Count
    long_polls: Count
    since: Instant | None
    latest: TrafficPoint | None
    points: list[TrafficPoint]
