"""Who asks for a change, and what else of the request its handler has to know."""

from __future__ import annotations

from typing import Final

import msgspec

from service.access.grant import Player


class Caller(msgspec.Struct, frozen=True, gc=False):
    """The caller of an operation that writes.

    `player` is the one whose token the request carries; None for a key, and for a server that runs
    open. `key` is the text of its `Idempotency-Key` header; an empty text, which is not a key, if the
    header came twice. `trace` is the `traceparent` of the request's span, where the trace is
    recorded: what the relay does goes on from there.
    """

    player: Player | None = None
    key: str | None = None
    trace: str | None = None


ANONYMOUS: Final = Caller()
"""PERF: shared by the requests of which nothing more is known: nearly all."""
