"""The result of every operation: a status, bytes, and their headers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import msgspec

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer.

    `retry_after_s` are the seconds of `Retry-After`; 0: no such header. `headers` are further headers,
    (name in lower case, value) each.
    """

    status: int
    body: bytes
    media_type: str = JSON
    retry_after_s: int = 0
    headers: tuple[tuple[str, str], ...] = ()


PendingAnswer = Coroutine[Any, Any, Answer] | asyncio.Future[Answer]
"""An answer that is still to be made."""
