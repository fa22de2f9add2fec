"""What a credential can be good for. Which operation needs which is said in `service.routes`, and only there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

Scope = Literal["read", "submit", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
BITS: Final[dict[Scope, int]] = {scope: 1 << at for at, scope in enumerate(SCOPES)}
PUBLIC: Final = None
"""The scope of an operation that anybody may ask for."""


def pack_scopes(scopes: Iterable[str]) -> int:
    """A set of scopes as one number. PERF: one AND decides. A name of a later release counts for nothing."""
    named = set(scopes)
    return sum(bit for scope, bit in BITS.items() if scope in named)
