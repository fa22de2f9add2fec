"""Acts as answers, and the bounds of the parameters that choose them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import msgspec

from board.audit import Action, ActorType, TargetType
from service.contract.reason import Reason
from service.contract.types import USER_ID_MAX

Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-30T00:00:00Z"])]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[100])]
"""Acts of one page."""
ActNumber = Annotated[int, msgspec.Meta(ge=1, description="Rises with each act.", examples=[17])]
ActorId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=256,
        description="The id of a key, or the account and the host of a command.",
        examples=["4fT9s0aKqZ"],
    ),
]
TargetId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=USER_ID_MAX,
        description="The season, the id of the key, or the player.",
        examples=["spring"],
    ),
]
ActCursor = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=32, description="The `nextCursor` of the page before.", examples=["MTc"]),
]
State = (
    Annotated[
        dict[str, Any],
        msgspec.Meta(description="As the object is in the API.", examples=[{"period": {"number": 1}}]),
    ]
    | None
)


class Actor(msgspec.Struct, frozen=True):
    """Who did it: a key, by its id, or a command, by its account and host."""

    type: ActorType
    id: ActorId


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """What it was done to. A player who was erased has no `id` any more; `number` is all that is left."""

    type: TargetType
    id: TargetId | msgspec.UnsetType = msgspec.UNSET
    number: Annotated[int, msgspec.Meta(ge=1, examples=[1])] | msgspec.UnsetType = msgspec.UNSET


class AuditedAct(msgspec.Struct, frozen=True):
    """An administrative act. `actor` is null for a client of an open server.

    `requestId` is the `X-Request-Id` that the client sent, and `reason` its `X-Audit-Log-Reason`. `before` and `after`
    are the object as it was and as it became; null: there was none, there is none, or the player was erased.
    """

    id: ActNumber
    at: Instant
    actor: Actor | None
    requestId: Annotated[str, msgspec.Meta(examples=["7f3c"])] | None
    action: Action
    target: Target
    reason: Reason | None
    before: State
    after: State


class ActList(msgspec.Struct, frozen=True):
    """A page of the acts, the latest first. `nextCursor` is null on the last one."""

    items: list[AuditedAct]
    nextCursor: ActCursor | None
