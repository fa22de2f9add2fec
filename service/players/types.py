"""Bodies of requests and answers of the operations on profiles."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec

from service.contract.profiles import AttributeName, Attributes, AttributeValue, DisplayName
from service.contract.types import UserId


class ProfileBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A profile. Missing members are empty."""

    displayName: DisplayName | None = None
    attributes: Attributes = {}


class ProfilePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch (RFC 7396) of a profile: `null` takes a member away, also one of the attributes."""

    displayName: DisplayName | msgspec.UnsetType | None = msgspec.UNSET
    attributes: (
        Annotated[dict[AttributeName, AttributeValue | None], msgspec.Meta(examples=[{"platform": None}])]
        | msgspec.UnsetType
        | None
    ) = msgspec.UNSET


class Profile(msgspec.Struct, frozen=True):
    """What boards show of a player beside the score. `displayName` is null if the player has none."""

    userId: UserId
    displayName: DisplayName | None
    attributes: Attributes


class ProfileDeleted(msgspec.Struct, frozen=True):
    """Boards show nothing of the player but the id."""

    userId: UserId
    deleted: Literal[True]


ErasureNumber = Annotated[int, msgspec.Meta(ge=1, le=999_999_999, examples=[1])]
ErasureState = Literal["running", "done"]
Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-30T10:00:00Z"])]


class ErasureBegun(msgspec.Struct, frozen=True):
    """No board shows the player any more. The rest goes on; `GET /v1/erasures/{id}` tells when it is done."""

    id: ErasureNumber
    userId: UserId
    state: ErasureState


Deleted = Annotated[int, msgspec.Meta(ge=0, examples=[1])]


class ErasedParts(msgspec.Struct, frozen=True):
    """How many of what were deleted, beside the rows of current boards and the profile. Of `events` the name was
    taken away."""

    rows: Deleted
    standings: Deleted
    submissions: Deleted
    keys: Deleted
    events: Deleted


class Erasure(msgspec.Struct, frozen=True):
    """An erasure, without the player's name. `erased` tells how many of what were deleted, once it is done."""

    id: ErasureNumber
    state: ErasureState
    askedAt: Instant
    doneAt: Instant | None
    erased: ErasedParts | None
