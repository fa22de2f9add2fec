"""Texts of others, shown: ids, names and messages without characters that forge a line, hide, or steer a terminal."""

from __future__ import annotations

import re
from typing import Final

_UNSEEN: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters; C1 has ANSI sequences, too
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # bidi controls, no width, breaks
    "\U000e0000-\U000e007f"  # tags
    "\ud800-\udfff"  # of a text that is no UTF-8 (`surrogateescape`)
    "]"
)


def visible(text: str, keep: str = "") -> str:
    r"""The text in one line, with such characters as escapes: ``\x1b``, ``\u202e``; those in `keep` stay."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def visible_json(document: bytes) -> bytes:
    r"""JSON with the same values, in which such characters are written as ``\u202e``."""
    return _UNSEEN.sub(lambda found: _escape_json(found[0]), document.decode()).encode()


def _escape(character: str) -> str:
    if character.isascii():
        return f"\\x{ord(character):02x}"
    return character.encode("ascii", "backslashreplace").decode("ascii")


def _escape_json(character: str) -> str:
    if character < " ":
        return character  # between two values: inside of strings they are escaped already
    units = character.encode("utf-16-be", "surrogatepass").hex(" ", 2)
    return "".join(f"\\u{unit}" for unit in units.split(" "))
