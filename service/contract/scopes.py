"""The scopes of credentials. The table of operations (`service.routes`) names the one that each operation needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

Scope = Literal["read", "submit", "moderate", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
BITS: Final[dict[Scope, int]] = {scope: 1 << at for at, scope in enumerate(SCOPES)}
PUBLIC: Final = None
"""The scope of an operation that needs no credential."""


def pack_scopes(scopes: Iterable[str]) -> int:
    """A set of scopes as one number. PERF: one AND decides. Scopes that this release does not know are ignored."""
    names = set(scopes)
    return sum(bit for scope, bit in BITS.items() if scope in names)
