"""Answers of the probes."""

from __future__ import annotations

from typing import Literal

import msgspec


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """Whether this worker can serve, and the state of each part."""

    status: Literal["ready", "not_ready"]
    redis: Literal["ok", "down"]
    postgres: Literal["ok", "down"]
    schema: Literal["ok", "missing", "unknown"]
