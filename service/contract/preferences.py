"""Preferences of a request: the `Prefer` header (RFC 7240)."""

from __future__ import annotations

import re
from typing import Final

# An element of the list; a comma within a quoted string does not end it. PERF: possessive, so linear in the length.
_PREFERENCE: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+\\?"?)++')
_WAIT: Final = re.compile(r'\s*wait\s*(?:=\s*(?:0*([0-9]+)|"0*([0-9]+)"))?\s*(?:;.*)?', re.IGNORECASE | re.DOTALL)
_NAME: Final = re.compile(r"\s*wait\s*(?:[=;]|\Z)", re.IGNORECASE)

WAIT_DIGITS_MOST: Final = 9
"""Digits of a wait in seconds. A longer one counts as the longest."""


def parse_wait(header: str | None) -> int:
    """The seconds of the preference `wait`; 0 without a usable one.

    A preference that is malformed or unknown is as if it had not been sent, and of several `wait` the first one counts
    (RFC 7240, 2).
    """
    if header is None:
        return 0
    for element in _PREFERENCE.findall(header):
        if _NAME.match(element) is not None:
            found = _WAIT.fullmatch(element)
            digits = found and (found[1] or found[2])
            return int(digits[:WAIT_DIGITS_MOST]) if digits else 0
    return 0
