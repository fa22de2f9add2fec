"""The data of the events of a stream, and the bounds of its parameters."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

LIMIT_MOST: Final = 100
"""Players of a stream. One read of so many serves all who listen to a board."""
SIDE: Final = 3
"""Neighbours on each side of the player whose window is streamed."""

StreamLimit = Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MOST, examples=[10])]
Events = Annotated[
    str,
    msgspec.Meta(
        description="Server-Sent Events: snapshot, change, around, unavailable.",
        examples=[
            'id: 7.1042.5d41402a\nevent: change\ndata: {"rows":[],"left":[],"total":2,"asOf":"7.1042.5d41402a"}\n\n'
        ],
    ),
]

Row = dict[str, Any]
"""A row of a top list: `rank`, `userId`, `score`, and members that other releases add."""


class Shown(msgspec.Struct, frozen=True):
    """A top list as the reader of boards gives it (`Top`)."""

    seasonId: str
    items: list[Row]
    total: int
    asOf: str
    segment: str | msgspec.UnsetType = msgspec.UNSET


class Change(msgspec.Struct, frozen=True):
    """What has changed between two states of a list.

    `rows` are those that entered, moved or changed: rows of the list, each with its `position` from 1. `left` are the
    ids of players who are no longer in the list. All other rows stay where they are.
    """

    rows: list[Row]
    left: list[str]
    total: int
    asOf: str


class Unavailable(msgspec.Struct, frozen=True):
    """The board cannot be read now; `code` is that of docs/errors.md."""

    code: str
