"""What a verified credential allows."""

from __future__ import annotations

import msgspec

from service.contract.types import INT64_MAX, INT64_MIN


class Player(msgspec.Struct, frozen=True, gc=False):
    """The one player a token speaks for, and the smallest and greatest `delta` it may submit."""

    user: str
    low: int = INT64_MIN
    high: int = INT64_MAX


class Grant(msgspec.Struct, frozen=True, gc=False):
    """Scopes as bits (`pack_scopes`), seasons or None for all, Unix time at which it ends, and for a token its player.

    `name` tells whose it is, without any secret: ``k:<id of the key>`` or ``u:<player>``.
    """

    name: str
    scopes: int
    seasons: frozenset[str] | None
    until: float
    player: Player | None = None
