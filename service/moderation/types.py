"""A player's submissions as answers, and the bounds of their parameters."""

from __future__ import annotations

import datetime
from typing import Annotated, Final, Literal

import msgspec

from service.contract.reason import REASON_MAX
from service.contract.types import (
    CLIENT_VERSION_MAX,
    INT64_MAX,
    INT64_MIN,
    PLAIN_TEXT,
    Metadata,
    RowColumns,
    SeasonId,
    UserId,
)
from service.moderation.problems import SEASONS_MOST

Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-30T10:00:00Z"])]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[100])]
"""Submissions of one page."""
SubmissionState = Literal["counted", "not-best", "superseded", "void"]
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
    `last`; `void`, by a correction. `correction` is the number of the one that decides; `corrected` the value that it
    sets.
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
    correction: Annotated[int, msgspec.Meta(ge=1, examples=[1])] | msgspec.UnsetType = msgspec.UNSET
    corrected: Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX, examples=[100])] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class History(msgspec.Struct, frozen=True):
    """A page of a player's submissions to a season, the latest first.

    A page may have fewer than `limit`, or none, and a `nextCursor`: that far the ledger has been looked through.
    """

    seasonId: SeasonId
    userId: UserId
    items: list[HistoryItem]
    nextCursor: HistoryCursor | None


BanReason = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=REASON_MAX,
        pattern=PLAIN_TEXT,
        description="Why; the audit has it, too.",
        examples=["speed hack"],
    ),
]
BanSeasons = Annotated[
    list[SeasonId],
    msgspec.Meta(
        min_length=1,
        max_length=SEASONS_MOST,
        description="The seasons of the ban.",
        examples=[["spring"]],
        extra_json_schema={"uniqueItems": True},
    ),
]
Until = Annotated[
    datetime.datetime,
    msgspec.Meta(tz=True, description="When the ban ends by itself.", examples=["2099-12-31T00:00:00Z"]),
]


class BanWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ban: in every season, those to come as well, or in `seasons`; for good, or until a time."""

    reason: BanReason
    seasons: BanSeasons | msgspec.UnsetType = msgspec.UNSET
    until: Until | msgspec.UnsetType = msgspec.UNSET

    @property
    def named_seasons(self) -> list[str] | None:
        """The seasons; None: every one."""
        return None if self.seasons is msgspec.UNSET else self.seasons

    @property
    def end(self) -> datetime.datetime | None:
        """When it ends; None: never."""
        return None if self.until is msgspec.UNSET else self.until


ShownBanWanted = Annotated[
    BanWanted, msgspec.Meta(examples=[{"reason": "speed hack", "until": "2099-12-31T00:00:00Z"}])
]
"""A ban in the OpenAPI document."""


class ModerationReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Why it is done. The body, or its `reason`, may be left out."""

    reason: BanReason | msgspec.UnsetType = msgspec.UNSET


class Moderator(msgspec.Struct, frozen=True):
    """Who did it: a key, by its id."""

    type: Literal["key"]
    id: Annotated[str, msgspec.Meta(examples=["4fT9s0aKqZ"])]


class Ban(msgspec.Struct, frozen=True):
    """A ban. `seasons` null: every season. `until` null: for good. `actor` null: a client of an open server."""

    reason: BanReason
    seasons: BanSeasons | None
    until: Until | None
    at: Instant
    actor: Moderator | None


class Hiding(msgspec.Struct, frozen=True):
    """Since when the player is hidden, by whom, and why, as far as it was told."""

    reason: BanReason | None
    at: Instant
    actor: Moderator | None


class Moderation(msgspec.Struct, frozen=True):
    """Whether a player is banned or hidden. null: not."""

    userId: UserId
    ban: Ban | None
    hidden: Hiding | None
