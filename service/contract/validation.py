"""Checks of what arrives. Nothing that PostgreSQL could refuse may pass: it would fail the rest of its batch."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

DUPLICATE_MEMBER: Final = "The body names a member twice."

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not JSON. A `ValidationError`, for JSON of another type,
is a `DecodeError`, too.
"""


def is_plain(text: str, longest: int) -> bool:
    """1 to `longest` characters, none of them a control character or a lone surrogate."""
    if not 0 < len(text) <= longest:
        return False
    # PERF: printable ASCII is what nearly every id is.
    return text.isprintable() if text.isascii() else _CONTROL.search(text) is None


def is_json(content_type: str) -> bool:
    """True for application/json, with or without parameters."""
    return content_type == "application/json" or content_type.partition(";")[0].strip().lower() == "application/json"


def has_duplicate_member(text: bytes) -> bool:
    """Whether an object anywhere in valid JSON names a member twice; msgspec silently takes the last."""
    try:
        json.loads(text, object_pairs_hook=_refuse_duplicates, parse_int=str, parse_float=str)
    except _Twice:
        return True
    return False


class _Twice(Exception):
    """A name that comes twice."""


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice
