"""Answers of the reads of boards, and the bounds of their parameters."""

from __future__ import annotations

from typing import Annotated

import msgspec

from service.contract.types import Rank, Score, SeasonId, UserId, Version

Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[10])]
"""Players of a top list."""
Range = Annotated[int, msgspec.Meta(ge=0, le=100, examples=[5])]
"""Neighbours on each side of a player."""


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


class PlayerRank(msgspec.Struct, frozen=True):
    """A player's rank and score. `version` tells which submissions the board already shows."""

    seasonId: SeasonId
    userId: UserId
    rank: Rank
    score: Score
    version: Version


class Around(msgspec.Struct, frozen=True):
    """A player and the neighbours, best first, all read at one instant."""

    seasonId: SeasonId
    userId: UserId
    range: Range
    items: list[RankedEntry]


class Count(msgspec.Struct, frozen=True):
    """The number of players on the board."""

    seasonId: SeasonId
    count: Annotated[int, msgspec.Meta(ge=0, examples=[1])]
