"""Cursors of lists of seasons by name."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

from service.contract.problems import INVALID_CURSOR, Rejected
from service.contract.types import SEASON_ID_MAX
from service.contract.validation import is_plain


def encode_cursor(season: str) -> str:
    """The cursor that leads to the seasons after this one."""
    return urlsafe_b64encode(season.encode()).rstrip(b"=").decode()


def parse_cursor(text: str | None) -> str:
    """The season that a cursor names; an empty text for no cursor. Raises `Rejected`."""
    if text is None:
        return ""
    try:
        season = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise Rejected(INVALID_CURSOR.answer) from error
    if not is_plain(season, SEASON_ID_MAX) or encode_cursor(season) != text:
        raise Rejected(INVALID_CURSOR.answer)
    return season
