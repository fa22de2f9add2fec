"""Answers of the probes."""

from __future__ import annotations

from typing import Literal

import msgspec

Relays = Literal["ok", "behind", "unknown"]


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """Whether this worker can serve, and the state of each part.

    `relays` is `behind` when the oldest change waits for longer than 10 seconds, and `unknown` while PostgreSQL does
    not answer. It decides nothing: submissions go on.
    """

    status: Literal["ready", "not_ready"]
    redis: Literal["ok", "down"]
    postgres: Literal["ok", "down"]
    schema: Literal["ok", "missing", "unknown"]
    relays: Relays
