"""Bodies of requests and answers of the operations on corrections."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec

from board.corrections import Action as Actions
from service.contract.reason import REASON_MAX
from service.contract.types import (
    CLIENT_VERSION_MAX,
    INT64_MAX,
    INT64_MIN,
    PLAIN_TEXT,
    SeasonId,
    UserId,
)

Action = Annotated[Actions, msgspec.Meta(examples=["void"])]
Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-30T10:00:00Z"])]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[100])]
"""Corrections of one page."""
CorrectionNumber = Annotated[int, msgspec.Meta(ge=1, le=999_999_999, examples=[1])]
CorrectionCursor = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=32, description="The `nextCursor` of the page before.", examples=["MTc"]),
]
KeyName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN_TEXT, examples=["4fT9s0aKqZ"])]
ClientVersion = Annotated[
    str, msgspec.Meta(min_length=1, max_length=CLIENT_VERSION_MAX, pattern=PLAIN_TEXT, examples=["1.4.2"])
]
CorrectionReason = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=REASON_MAX,
        pattern=PLAIN_TEXT,
        description="Why. It stays for good: leave out names of players.",
        examples=["aim bot"],
    ),
]
Value = Annotated[
    int,
    msgspec.Meta(ge=INT64_MIN, le=INT64_MAX, description="What each submission counts with.", examples=[120]),
]
Count = Annotated[int, msgspec.Meta(ge=0, examples=[1])]
ShownRank = Annotated[int, msgspec.Meta(ge=1, examples=[1])] | None


class CorrectionFilter(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"since": "from", "until": "to"}
):
    """Which submissions, all members together; at least one of them.

    `keyId` is the id of a key, or `token` for players' tokens. `from` is the first time at which a submission was
    accepted, `to` the first one that is left out.
    """

    userId: UserId | msgspec.UnsetType = msgspec.UNSET
    keyId: KeyName | msgspec.UnsetType = msgspec.UNSET
    clientVersion: ClientVersion | msgspec.UnsetType = msgspec.UNSET
    since: Instant | msgspec.UnsetType = msgspec.UNSET
    until: Instant | msgspec.UnsetType = msgspec.UNSET


Chosen = Annotated[CorrectionFilter, msgspec.Meta(examples=[{"userId": "ada"}])]


class CorrectionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A correction: `void` lets the submissions not count, `set` lets each count with `value`.

    `confirm` is the number of submissions, as the preview has told it, of a correction of more than 1,000.
    """

    seasonId: SeasonId
    reason: CorrectionReason
    filter: Chosen
    action: Action
    value: Value | msgspec.UnsetType = msgspec.UNSET
    confirm: Count | msgspec.UnsetType = msgspec.UNSET


class RankChange(msgspec.Struct, frozen=True):
    """A player's rank before and after. Null: the player is not on the board."""

    userId: UserId
    period: Annotated[int, msgspec.Meta(ge=1, examples=[1])]
    rankBefore: ShownRank
    rankAfter: ShownRank


class CorrectionPreview(msgspec.Struct, frozen=True):
    """What a correction would do: how many submissions it is about, and the ranks of up to 100 of their players."""

    affected: Count
    changes: Annotated[list[RankChange], msgspec.Meta(max_length=100)]


class Progress(msgspec.Struct, frozen=True):
    """Blocks of the ledger (8 KiB each) that were looked through, and how many there are."""

    done: Count
    total: Count


class ChangedRow(msgspec.Struct, frozen=True):
    """A row that others had changed since: it was made anew without the correction, or left as it is."""

    userId: UserId
    period: Annotated[int, msgspec.Meta(ge=1, examples=[1])]


CorrectionState = Literal["running", "applied", "refused", "undoing", "undone"]


class Correction(msgspec.Struct, frozen=True, omit_defaults=True):
    """A correction.

    `state`: `running` until all boards show it; `applied`; `refused`, and `problem` is the error's code; `undoing`;
    `undone`, and `changed` are up to 100 rows that were not put back as they had been. An erased player's `userId` is
    taken out of the filter.
    """

    id: CorrectionNumber
    seasonId: SeasonId
    reason: CorrectionReason
    filter: Chosen
    action: Action
    state: CorrectionState
    affected: Count
    progress: Progress
    askedAt: Instant
    appliedAt: Instant | None
    undoneAt: Instant | None
    value: Value | msgspec.UnsetType = msgspec.UNSET
    problem: Annotated[str, msgspec.Meta(examples=["history-expired"])] | msgspec.UnsetType = msgspec.UNSET
    changed: Annotated[list[ChangedRow], msgspec.Meta(max_length=100)] | msgspec.UnsetType = msgspec.UNSET


class CorrectionList(msgspec.Struct, frozen=True):
    """A page of the corrections, the latest first. `nextCursor` is null on the last one."""

    items: list[Correction]
    nextCursor: CorrectionCursor | None


class CorrectionBegun(msgspec.Struct, frozen=True):
    """A correction that goes on by itself; `GET /v1/corrections/{id}` tells how far it is."""

    id: CorrectionNumber
    state: CorrectionState
    affected: Count
