"""Answers of the probes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Relays = Annotated[Literal["ok", "behind", "unknown"], msgspec.Meta(examples=["ok"])]


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """Whether this worker can serve, and the state of each part.

    `relays` is `behind` when the oldest change waits for longer than 10 seconds, and `unknown` while PostgreSQL does
    not answer. It decides nothing: submissions go on.
    """

    status: Annotated[Literal["ready", "not_ready"], msgspec.Meta(examples=["ready"])]
    redis: Annotated[Literal["ok", "down"], msgspec.Meta(examples=["ok"])]
    postgres: Annotated[Literal["ok", "down"], msgspec.Meta(examples=["ok"])]
    schema: Annotated[Literal["ok", "missing", "unknown"], msgspec.Meta(examples=["ok"])]
    relays: Relays
