"""Checks of input. A value that PostgreSQL rejects must not pass: its whole batch would be rejected with it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

JSON_TYPE: Final = "application/json"
MERGE_PATCH_TYPE: Final = "application/merge-patch+json"

DUPLICATE_MEMBER: Final = "The body names a member twice."

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The exceptions of msgspec for bytes that are not JSON. `ValidationError`, for JSON of another type,
is a subclass of `DecodeError`.
"""


def is_plain(text: str, longest: int) -> bool:
    """Whether a text has 1 to `longest` characters, without control characters and lone surrogates."""
    if not 0 < len(text) <= longest:
        return False
    # PERF: nearly every id is printable ASCII.
    return text.isprintable() if text.isascii() else _CONTROL.search(text) is None


def is_media_type(content_type: str, wanted: tuple[str, ...]) -> bool:
    """Whether a content type is one of the wanted ones, with or without parameters."""
    return content_type in wanted or content_type.partition(";")[0].strip().lower() in wanted


def measure_depth(value: Any) -> int:
    """The levels of objects and arrays in a JSON value, however many; 0 for anything else."""
    depth, level = 0, [value]
    # Level by level: a call for each would end where Python's stack does.
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [member for one in level for member in (one.values() if isinstance(one, dict) else one)]
    return depth


def has_duplicate_member(text: bytes) -> bool:
    """Whether any object in valid JSON has a duplicate member. msgspec silently takes the last one."""
    try:
        json.loads(text, object_pairs_hook=_refuse_duplicates, parse_int=str, parse_float=str)
    except _Duplicate:
        return True
    return False


class _Duplicate(Exception):
    """An object has a member twice."""


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Duplicate
