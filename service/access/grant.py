"""Grants: the rights of a verified credential."""

from __future__ import annotations

import msgspec

from service.contract.types import INT64_MAX, INT64_MIN


class Player(msgspec.Struct, frozen=True, gc=False):
    """The player of a token, and the least and greatest `delta` that the token allows."""

    user: str
    low: int = INT64_MIN
    high: int = INT64_MAX


class Grant(msgspec.Struct, frozen=True, gc=False):
    """The rights of a credential.

    `name` identifies it without a secret: ``k:<id of the key>`` or ``u:<player>``. `scopes` are bits (`pack_scopes`).
    `seasons` are the allowed ones; None: all. `until` is the Unix time in seconds at which the grant ends. `player` is
    that of a token; None for a key.
    """

    name: str
    scopes: int
    seasons: frozenset[str] | None
    until: float
    player: Player | None = None
