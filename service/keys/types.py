"""Bodies of requests and answers of the operations on keys."""

from __future__ import annotations

import datetime
from typing import Annotated, Final

import msgspec

from service.access.key_text import ID_TEXT
from service.contract.scopes import SCOPES, Scope
from service.contract.types import SeasonId

NAME_MAX: Final = 100
SEASONS_MOST: Final = 1_000
LIFE_MOST_S: Final = 10 * 366 * 86_400
GRACE_S: Final = 86_400
"""The default time of grace of a rotation."""

KeyId = Annotated[str, msgspec.Meta(pattern=f"^{ID_TEXT}$", examples=["4fT9s0aKqZ"])]
Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-29T10:00:00Z"])]


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key without its secret. Without `seasons` it allows all seasons; without `expiresAt` it never expires; without
    `revokedAt` it is not revoked; without `rotatedAt` and `successor` it was not rotated."""

    id: KeyId
    name: Annotated[str, msgspec.Meta(examples=["game server"])]
    scopes: Annotated[list[Scope], msgspec.Meta(examples=[["read", "submit"]])]
    createdAt: Instant
    seasons: list[SeasonId] | msgspec.UnsetType = msgspec.UNSET
    expiresAt: Instant | msgspec.UnsetType = msgspec.UNSET
    revokedAt: Instant | msgspec.UnsetType = msgspec.UNSET
    rotatedAt: Instant | msgspec.UnsetType = msgspec.UNSET
    successor: KeyId | msgspec.UnsetType = msgspec.UNSET


class NewKey(msgspec.Struct, frozen=True):
    """A new key. `key` is its text, which cannot be shown again."""

    key: Annotated[str, msgspec.Meta(examples=["lb_4fT9s0aKqZ_..."])]
    made: Key


class KeyList(msgspec.Struct, frozen=True):
    """All keys, the oldest first. Expired and revoked keys are listed for 400 days."""

    keys: list[Key]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rights of a new key. Without `seasons` it allows all seasons; without `lifeS` (seconds) it never expires."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX, examples=["game server"])]
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(SCOPES), examples=[["read", "submit"]])]
    seasons: Annotated[list[SeasonId], msgspec.Meta(min_length=1, max_length=SEASONS_MOST)] | None = None
    lifeS: Annotated[int, msgspec.Meta(ge=1, le=LIFE_MOST_S)] | None = None


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many seconds the old key stays valid beside its successor; a day by default."""

    graceS: Annotated[int, msgspec.Meta(ge=0, le=LIFE_MOST_S, examples=[3_600])] = GRACE_S
