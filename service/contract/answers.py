"""What every operation returns: a status, bytes, and how to label them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer: status code, body, media type, seconds for `Retry-After` (0: no such header), more headers."""

    status: int
    body: bytes
    media_type: str = JSON
    retry_after_s: int = 0
    headers: tuple[tuple[str, str], ...] = ()


Order = Callable[[bytes], Coroutine[Any, Any, Answer]]
"""What a request does with its body."""


async def answered(answer: Answer, body: bytes) -> Answer:
    """An answer there is already, whatever the body is."""
    return answer
