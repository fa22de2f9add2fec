"""Bodies of requests and answers of the operations for operators."""

from __future__ import annotations

import datetime
from typing import Annotated

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


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """A statement about the system; `isWrong`: somebody should do something."""

    text: Annotated[str, msgspec.Meta(examples=["keeper at work"])]
    is_wrong: Annotated[bool, msgspec.Meta(examples=[False])]


class SystemState(msgspec.Struct, frozen=True, rename="camel"):
    """The state of the whole system: findings in words, the wrong ones first; totals; partitions; seasons set aside."""

    findings: list[Finding]
    redis: Annotated[str, msgspec.Meta(examples=["ok"])]
    pending: Count
    oldest_s: Seconds
    seasons: Count
    set_aside: list[SeasonSetAside]
    partitions: list[PartitionState]
