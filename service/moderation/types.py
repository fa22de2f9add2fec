"""A player's submissions as answers, and the bounds of their parameters."""

from __future__ import annotations

import datetime
from typing import Annotated, Final, Literal

import msgspec

from service.contract.types import (
    CLIENT_VERSION_MAX,
    INT64_MAX,
    INT64_MIN,
    Metadata,
    RowColumns,
    SeasonId,
    UserId,
)

Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-30T10:00:00Z"])]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[100])]
"""Submissions of one page."""
SubmissionState = Literal["counted", "not-best", "superseded"]
CURSOR_TEXT: Final = r"[A-Za-z0-9_-]{1,128}"
HistoryCursor = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=128,
        pattern=f"^{CURSOR_TEXT}(?![\\s\\S])",
        description="The `nextCursor` of the page before.",
        examples=["bGVkZ2VyXzIwMjYxMTMwLjEyLjM"],
    ),
]


class HistoryItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A submission.

    `value` is its `delta` or `score`. `keyId` is the id of the key that submitted it, `token` for a player's token;
    null: it is not known. `state`: `counted`; `not-best`, in a season of `best`; `superseded` by a later run, in one of
    `last`.
    """

    id: Annotated[int, msgspec.Meta(ge=1, description="Rises with each submission.", examples=[4711])]
    period: Annotated[int, msgspec.Meta(ge=1, examples=[1])]
    value: Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX, examples=[120])]
    at: Instant
    keyId: Annotated[str, msgspec.Meta(examples=["4fT9s0aKqZ"])] | None
    clientVersion: Annotated[str, msgspec.Meta(max_length=CLIENT_VERSION_MAX, examples=["1.4.2"])] | None
    state: SubmissionState
    achievedAt: Instant | msgspec.UnsetType = msgspec.UNSET
    columns: RowColumns = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET


class History(msgspec.Struct, frozen=True):
    """A page of a player's submissions to a season, the latest first.

    A page may have fewer than `limit`, or none, and a `nextCursor`: that far the ledger has been looked through.
    """

    seasonId: SeasonId
    userId: UserId
    items: list[HistoryItem]
    nextCursor: HistoryCursor | None
