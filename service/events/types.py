"""Events as answers, and the bounds of their parameters."""

from __future__ import annotations

import datetime
from typing import Annotated, Final, Literal

import msgspec

from service.contract.types import Rank, RowColumns, Score, SeasonId, UserId

ID_TEXT: Final = r"[0-9]{1,9}-[0-9]{1,19}-[0-9]{1,18}"
EventId = Annotated[
    str,
    msgspec.Meta(
        max_length=64,
        pattern=f"^{ID_TEXT}(?![\\s\\S])",
        description="The place of an event in the order of all of them.",
        examples=["1-7421-15"],
    ),
]
Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-30T00:00:00Z"])]
EventKind = Literal["period.ended", "period.closed", "leader.changed", "period.corrected"]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[100])]
"""Events of one page."""


class Best(msgspec.Struct, frozen=True, omit_defaults=True):
    """A player among the ten best of a closed period; with `columns`, where the season had some."""

    rank: Rank
    userId: UserId
    score: Score
    columns: RowColumns = msgspec.UNSET


class EventData(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of `period.ended`: `startsAt`, `endsAt`. Of `period.closed`: the number of `players`, the ten best (`top`), and a
    `link` to the board. Of `leader.changed`: the `userId` of the first player of the board and the `score`, and
    `previousUserId`, who led before; null: nobody did. Of `period.corrected`, when a final board has changed: the
    number of the `correction`, whether it was `undone`, and `players` and `link` as those of `period.closed`."""

    startsAt: Instant | msgspec.UnsetType = msgspec.UNSET
    endsAt: Instant | msgspec.UnsetType = msgspec.UNSET
    players: Annotated[int, msgspec.Meta(ge=0, examples=[1])] | msgspec.UnsetType = msgspec.UNSET
    top: Annotated[list[Best], msgspec.Meta(max_length=10)] | msgspec.UnsetType = msgspec.UNSET
    link: Annotated[str, msgspec.Meta(examples=["/v1/seasons/spring/leaderboard/top?period=1"])] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    userId: UserId | msgspec.UnsetType = msgspec.UNSET
    score: Score | msgspec.UnsetType = msgspec.UNSET
    previousUserId: UserId | msgspec.UnsetType | None = msgspec.UNSET
    correction: Annotated[int, msgspec.Meta(ge=1, examples=[1])] | msgspec.UnsetType = msgspec.UNSET
    undone: Annotated[bool, msgspec.Meta(examples=[False])] | msgspec.UnsetType = msgspec.UNSET


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a period of a season."""

    id: EventId
    at: Instant
    kind: EventKind
    seasonId: SeasonId
    period: Annotated[int, msgspec.Meta(ge=1, examples=[1])]
    data: EventData


class EventList(msgspec.Struct, frozen=True):
    """The next events, the oldest first.

    `nextCursor` is the `after` of the next request, whether there are more events now or later; null before the first.
    """

    items: list[Event]
    nextCursor: EventId | None
