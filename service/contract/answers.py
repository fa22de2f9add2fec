"""What every operation returns: a status, bytes, and how to label them."""

from __future__ import annotations

from typing import Final

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
