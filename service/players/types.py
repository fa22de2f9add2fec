"""Bodies of requests and answers of the operations on profiles."""

from __future__ import annotations

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
