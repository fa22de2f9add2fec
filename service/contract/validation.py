"""Checks of what arrives: nothing that PostgreSQL could refuse may pass them, for it would fail its batch-mates."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from service.access.grant import Player
from service.contract import problems
from service.contract.problems import Problem
from service.contract.types import KEY_TEXT, USER_ID_MAX, Submission

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
TWICE: Final = "The body names a member twice."
_KEY: Final = re.compile(KEY_TEXT)


def is_plain(text: str, longest: int) -> bool:
    """1 to `longest` characters, none of them a control character or a lone surrogate."""
    if not 0 < len(text) <= longest:
        return False
    # PERF: printable ASCII is what nearly every id is.
    return text.isprintable() if text.isascii() else _CONTROL.search(text) is None


def number_of(text: str | None, default: int, low: int, high: int) -> int | None:
    """A whole number from `low` to `high`, the default for no text, None for anything else."""
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if low <= number <= high else None


def is_json(content_type: str) -> bool:
    """True for application/json, with or without parameters."""
    return content_type == "application/json" or content_type.partition(";")[0].strip().lower() == "application/json"


def key_of(header: str) -> str | None:
    """The key in an `Idempotency-Key` header: a quoted string (RFC 8941), or bare for convenience; None if unusable."""
    text = header.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text if _KEY.fullmatch(text) else None


def key_of_player(user: str, key: str) -> str:
    """A player's own key, which no other player and no game server can use first. No user id or key has a NUL."""
    return f"{user}\0{key}"


def says_twice(text: bytes, submission: Submission) -> bool:
    """Whether the JSON that became this submission names a member twice; msgspec silently takes the last.

    PERF: in JSON without a backslash every string has two quotes, so their number tells exactly how many strings there
    are: the names and values that must be there, or more. Everything else is looked at closely.
    """
    if text.count(b'"') == (6 if submission.submissionId is None else 10) and b"\\" not in text:
        return False
    return names_twice(text)


def names_twice(text: bytes) -> bool:
    """Whether an object anywhere in valid JSON names a member twice."""
    try:
        json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _Twice:
        return True
    return False


def quotes_of(submission: Submission) -> int:
    """How many quotes a submission has when it is written plainly."""
    return 6 if submission.submissionId is None else 10


class _Twice(Exception):
    """A name that comes twice."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice


def fault_of_body(error: msgspec.ValidationError) -> Problem:
    """Which problem a submission has that is JSON but does not fit."""
    text = str(error)
    if text.endswith("`$.userId`"):
        return problems.INVALID_USER
    if text.endswith("`$.delta`"):
        return problems.INVALID_DELTA
    if text.endswith("`$.submissionId`"):
        return problems.INVALID_KEY
    return problems.INVALID_BODY


def fault_of(submission: Submission) -> Problem | None:
    """What is wrong with a submission that fits the types; None if nothing."""
    if not is_plain(submission.userId, USER_ID_MAX):
        return problems.INVALID_USER
    if submission.delta == 0:
        return problems.INVALID_DELTA
    return None


def beyond(player: Player, submission: Submission) -> Problem | None:
    """What in a submission goes beyond what the player's token allows; None if nothing."""
    if submission.userId != player.user:
        return problems.PLAYER_FORBIDDEN
    if not player.low <= submission.delta <= player.high:
        return problems.DELTA_FORBIDDEN
    return None
