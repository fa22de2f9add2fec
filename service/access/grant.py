"""Grants: the rights of a verified credential."""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec

from service.access.caller import ANONYMOUS, Caller
from service.access.caller import Player as Player
from service.contract.scopes import BITS


class Grant(msgspec.Struct, frozen=True, gc=False):
    """The rights of a credential.

    `name` identifies it without a secret: ``k:<id of the key>`` or ``u:<player>``. `scopes` are bits (`pack_scopes`).
    `seasons` are the allowed ones; None: all. `until` is the Unix time in seconds at which the grant ends. `player` is
    that of a token; None for a key. `caller` is the one of its requests that have nothing of their own.
    """

    name: str
    scopes: int
    seasons: frozenset[str] | None
    until: float
    player: Player | None = None
    caller: Caller = ANONYMOUS


READER: Final = Grant("", BITS["read"], None, inf)
"""The grant of a request without a credential that reads a public season. It has no quota."""
