"""The caller of an operation that writes, with the parts of its request that the handler needs."""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec

from board.audit import Act
from service.contract.preconditions import Precondition, always
from service.contract.types import INT64_MAX, INT64_MIN


class Player(msgspec.Struct, frozen=True, gc=False):
    """The player of a token, and the least and greatest `delta` that the token allows."""

    user: str
    low: int = INT64_MIN
    high: int = INT64_MAX


class Caller(msgspec.Struct, frozen=True, gc=False):
    """The caller of an operation that writes.

    `player` is the player of the request's token; None for a key, and on an open server. `key` is the text of its
    `Idempotency-Key` header; an empty text, which is no valid key, if the header was sent twice. `trace` is the
    `traceparent` of the request's span, if the trace is recorded; the relay's span follows it. `precondition` is
    that of its `If-Match` and `If-None-Match`, and `prefer` the text of its `Prefer` header, for operations that
    take one. `key_id` is the id of the key; `TOKEN` for a player's token; empty on an open server. `is_admin`: the
    credential has the scope `admin`; everybody has it on an open server. `seasons` are those that it is good for;
    None: all. `until` is the Unix time in seconds at which the credential ends. `reason` is the text of its
    `X-Audit-Log-Reason` header and `request_id` that of its `X-Request-Id`, for operations that the audit has.
    """

    player: Player | None = None
    key: str | None = None
    trace: str | None = None
    precondition: Precondition = always
    prefer: str | None = None
    key_id: str = ""
    is_admin: bool = True
    seasons: frozenset[str] | None = None
    until: float = inf
    reason: str | None = None
    request_id: str | None = None

    @property
    def act(self) -> Act:
        """The caller as the audit names it."""
        return Act("key" if self.key_id else None, self.key_id or None, self.request_id, self.reason)


TOKEN: Final = "token"
"""No key has an id of this length."""

ANONYMOUS: Final = Caller()
"""PERF: shared by the requests without any of them: nearly all."""
