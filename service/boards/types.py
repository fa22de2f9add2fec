"""Answers of the reads of boards, and the bounds of their parameters."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from service.contract.types import Rank, Score, SeasonId, UserId, Version

Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[10])]
"""Players of a top list."""
Offset = Annotated[int, msgspec.Meta(ge=0, le=10_000, examples=[0])]
"""Players ahead of a top list."""
Range = Annotated[int, msgspec.Meta(ge=0, le=100, examples=[5])]
"""Neighbours on each side of a player."""

RankAsked = Annotated[int, msgspec.Meta(ge=1, le=999_999_999, examples=[1])]
"""The rank whose score is asked for."""
Percentile = Annotated[
    float,
    msgspec.Meta(ge=0, le=100, description="Share of the players at or below, 0 to 100.", examples=[95]),
]

Buckets = Annotated[int, msgspec.Meta(ge=1, le=100, examples=[20])]
"""Buckets of a histogram."""
BucketsBy = Literal["score", "quantile"]


PeriodAsked = Annotated[int, msgspec.Meta(ge=1, le=999_999_999, examples=[1])]
"""The number of a period."""
_Period = Annotated[PeriodAsked, msgspec.Meta(description="The period that the query names.")] | msgspec.UnsetType


class Entry(msgspec.Struct, frozen=True):
    """A player on the board."""

    userId: UserId
    score: Score


class RankedEntry(msgspec.Struct, frozen=True):
    """A player on the board, with the rank."""

    rank: Rank
    userId: UserId
    score: Score


class Top(msgspec.Struct, frozen=True):
    """The best players, best first."""

    seasonId: SeasonId
    items: list[Entry]
    period: _Period = msgspec.UNSET


class PlayerRank(msgspec.Struct, frozen=True):
    """A player's rank and score. `version` tells which submissions the board already shows."""

    seasonId: SeasonId
    userId: UserId
    rank: Rank
    score: Score
    version: Version
    period: _Period = msgspec.UNSET


class Around(msgspec.Struct, frozen=True):
    """A player and the neighbours, best first, all read at one instant."""

    seasonId: SeasonId
    userId: UserId
    range: Range
    items: list[RankedEntry]
    period: _Period = msgspec.UNSET


class Count(msgspec.Struct, frozen=True):
    """The number of players on the board."""

    seasonId: SeasonId
    count: Annotated[int, msgspec.Meta(ge=0, examples=[1])]
    period: _Period = msgspec.UNSET


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


class LookupAnswer(msgspec.Struct, frozen=True):
    """The players that were asked for: those on the board, best first, and the others in the order of the request."""

    seasonId: SeasonId
    items: list[FoundPlayer]
    notFound: Annotated[list[UserId], msgspec.Meta(examples=[["bob"]])]


class ScoreAtRank(msgspec.Struct, frozen=True):
    """The score of the player at this rank."""

    seasonId: SeasonId
    rank: Rank
    score: Score


class Bucket(msgspec.Struct, frozen=True):
    """The number of players whose score is in a range, both ends included."""

    lowest: Score = msgspec.field(name="from")
    highest: Score = msgspec.field(name="to")
    count: Annotated[int, msgspec.Meta(ge=0, examples=[1])]


class Histogram(msgspec.Struct, frozen=True):
    """Ranges of scores from the worst to the best score of the board, without gaps, and the players in each."""

    seasonId: SeasonId
    buckets: Annotated[list[Bucket], msgspec.Meta(max_length=100)]
