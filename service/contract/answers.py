"""The result of every operation: a status, bytes, and their headers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import msgspec

from service.contract.streams import Stream

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"
KEPT: Final = "private, no-cache"
"""`Cache-Control` of an answer with an entity tag: a client keeps it for itself, and asks whether it still holds."""
KEPT_PUBLIC: Final = "public, no-cache"
"""That of an answer about a public season: shared caches may keep it, too."""
NOT_KEPT: Final = "no-store"
"""`Cache-Control` of every other answer."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer.

    `retry_after_s` are the seconds of `Retry-After`; 0: no such header. `headers` are further headers,
    (name in lower case, value) each. `etag` is the entity tag of what may be kept, if each use of it
    is asked for again (`KEPT`); an empty text: there is none. With a `stream` the answer has no end, and
    no other body.
    """

    status: int
    body: bytes
    media_type: str = JSON
    retry_after_s: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    etag: str = ""
    stream: Stream | None = None


PendingAnswer = Coroutine[Any, Any, Answer] | asyncio.Future[Answer]
"""An answer that is still to be made."""
