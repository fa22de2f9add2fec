"""Answers of the reads of boards, and the bounds of their parameters."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from service.boards.cursors import LONGEST, encode_row
from service.contract.profiles import Attributes, DisplayName
from service.contract.segments import SegmentName
from service.contract.types import (
    INT64_MAX,
    Metadata,
    Rank,
    RowColumns,
    Score,
    SeasonCursor,
    SeasonId,
    UserId,
    Version,
)

Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[10])]
"""Players of a top list."""
Offset = Annotated[int, msgspec.Meta(ge=0, le=10_000, examples=[0])]
"""Players ahead of a top list."""
Range = Annotated[int, msgspec.Meta(ge=0, le=100, examples=[5])]
"""Neighbours on each side of a player."""

MinVersion = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX, examples=[2])]
"""The version of a player's row that is waited for."""

RankAsked = Annotated[int, msgspec.Meta(ge=1, le=999_999_999, examples=[1])]
"""The rank whose score is asked for."""
Percentile = Annotated[
    float,
    msgspec.Meta(ge=0, le=100, description="Share of the players at or below, 0 to 100.", examples=[95]),
]

Buckets = Annotated[int, msgspec.Meta(ge=1, le=100, examples=[20])]
"""Buckets of a histogram."""
BucketsBy = Literal["score", "quantile"]


Total = Annotated[int, msgspec.Meta(ge=0, description="Players on the board.", examples=[2])]
AtOrBelow = Annotated[
    float,
    msgspec.Meta(
        ge=0, le=100, description="Share of the players at or below, in percent: two decimals.", examples=[95.25]
    ),
]
AsOf = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        description="The state of the board, opaque: equal as long as nothing touches the board.",
        examples=["7.1042.5d41402a"],
    ),
]
AsOfAsked = Annotated[str, msgspec.Meta(min_length=1, max_length=128, examples=["7.1042.5d41402a"])]
"""The state of a board that a client has."""
PeriodAsked = Annotated[int, msgspec.Meta(ge=1, le=999_999_999, examples=[1])]
"""The number of a period."""
_Segment = SegmentName | msgspec.UnsetType
_Period = (
    Annotated[
        PeriodAsked,
        msgspec.Meta(description="The period that the query names, else the current one of a season with a schedule."),
    ]
    | msgspec.UnsetType
)


TopCursor = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=LONGEST,
        pattern="^[A-Za-z0-9_-]+$",
        description="The `nextCursor` of the page before.",
        examples=[encode_row("spring", 7, 120, 1, "ada")],
    ),
]
_Name = Annotated[DisplayName, msgspec.Meta(description="If the player's profile has one.")] | msgspec.UnsetType
_Attributes = (
    Annotated[Attributes, msgspec.Meta(description="Those that the query asks for, and the player has.")]
    | msgspec.UnsetType
)


class RankedEntry(msgspec.Struct, frozen=True):
    """A player on the board, with the rank. `profiles.ShownProfiles` adds what is shown of the profile."""

    rank: Rank
    userId: UserId
    score: Score
    columns: RowColumns = msgspec.UNSET
    displayName: _Name = msgspec.UNSET
    attributes: _Attributes = msgspec.UNSET


class Top(msgspec.Struct, frozen=True):
    """The best players, best first. `nextCursor` leads to the next page; it is null on the last one."""

    seasonId: SeasonId
    items: list[RankedEntry]
    total: Total
    nextCursor: TopCursor | None
    asOf: AsOf
    period: _Period = msgspec.UNSET
    segment: _Segment = msgspec.UNSET


class PlayerRank(msgspec.Struct, frozen=True):
    """A player's rank and score. `version` tells which submissions the board already shows."""

    seasonId: SeasonId
    userId: UserId
    rank: Rank
    score: Score
    version: Version
    total: Total
    percentile: AtOrBelow
    asOf: AsOf
    columns: RowColumns = msgspec.UNSET
    metadata: (
        Annotated[
            Metadata | None,
            msgspec.Meta(description="With `metadata=true`: those of the run that counts; null: it has none."),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    period: _Period = msgspec.UNSET
    segment: _Segment = msgspec.UNSET


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """A player and the neighbours, best first, all read at one instant.

    With `score` in place of `userId`: that score, the rank of a new row with it, and the players around its place.
    """

    seasonId: SeasonId
    userId: UserId | msgspec.UnsetType = msgspec.UNSET
    # Not beside a text: there it would be that of a row (`service.boards.profiles.SEAM`).
    rank: Rank | msgspec.UnsetType = msgspec.UNSET
    score: Score | msgspec.UnsetType = msgspec.UNSET
    range: Range
    items: list[RankedEntry]
    total: Total
    asOf: AsOf
    period: _Period = msgspec.UNSET
    segment: _Segment = msgspec.UNSET


class Count(msgspec.Struct, frozen=True):
    """The number of players on the board."""

    seasonId: SeasonId
    count: Annotated[int, msgspec.Meta(ge=0, examples=[1])]
    asOf: AsOf
    period: _Period = msgspec.UNSET
    segment: _Segment = msgspec.UNSET


SEASONS_MOST: Final = 100
"""Seasons that one request can name."""
SeasonsAsked = Annotated[
    str,
    msgspec.Meta(min_length=1, description=f"Up to {SEASONS_MOST} season ids without commas.", examples=["spring,lap"]),
]
StandingsLimit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[100])]
"""Seasons of one page."""


class PlayerStanding(msgspec.Struct, frozen=True):
    """Where a player stands in a season."""

    seasonId: SeasonId
    rank: Rank
    score: Score
    version: Version
    total: Total
    percentile: AtOrBelow
    asOf: AsOf
    columns: RowColumns = msgspec.UNSET


class PlayerStandings(msgspec.Struct, frozen=True):
    """Where a player stands in several seasons, each at an instant of its own.

    `notFound` has the seasons that were named and do not have the player. `nextCursor` leads to the next page of all
    seasons; it is null on the last one. A page may have fewer items than its limit.
    """

    userId: UserId
    items: list[PlayerStanding]
    notFound: Annotated[list[SeasonId], msgspec.Meta(examples=[["lap"]])]
    nextCursor: SeasonCursor | None


LOOKUP_MOST: Final = 1_000
"""Players of one lookup."""


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 1,000 different players of one board: friends, a guild, a lobby."""

    userIds: Annotated[list[UserId], msgspec.Meta(max_length=LOOKUP_MOST, extra_json_schema={"uniqueItems": True})]


class LooseLookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lookup whose ids are not checked yet."""

    userIds: list[str]


class FoundPlayer(msgspec.Struct, frozen=True):
    """A player of a lookup. `position` counts those that were asked for and found, from 1."""

    rank: Rank
    position: Annotated[int, msgspec.Meta(ge=1, le=LOOKUP_MOST, examples=[1])]
    userId: UserId
    score: Score
    version: Version
    columns: RowColumns = msgspec.UNSET
    displayName: _Name = msgspec.UNSET
    attributes: _Attributes = msgspec.UNSET


class LookupAnswer(msgspec.Struct, frozen=True):
    """The players that were asked for: those on the board, best first, and the others in the order of the request."""

    seasonId: SeasonId
    items: list[FoundPlayer]
    notFound: Annotated[list[UserId], msgspec.Meta(examples=[["bob"]])]
    asOf: AsOf
    period: _Period = msgspec.UNSET
    segment: _Segment = msgspec.UNSET


class ScoreAtRank(msgspec.Struct, frozen=True):
    """The score of the player at this rank."""

    seasonId: SeasonId
    rank: Rank
    score: Score
    asOf: AsOf
    period: _Period = msgspec.UNSET
    segment: _Segment = msgspec.UNSET


class Bucket(msgspec.Struct, frozen=True):
    """The number of players whose score is in a range, both ends included."""

    lowest: Score = msgspec.field(name="from")
    highest: Score = msgspec.field(name="to")
    count: Annotated[int, msgspec.Meta(ge=0, examples=[1])]


class Histogram(msgspec.Struct, frozen=True):
    """Ranges of scores from the worst to the best score of the board, without gaps, and the players in each."""

    seasonId: SeasonId
    buckets: Annotated[list[Bucket], msgspec.Meta(max_length=100)]
    asOf: AsOf
    period: _Period = msgspec.UNSET
    segment: _Segment = msgspec.UNSET
