"""Profiles: decoded, normalised, checked, patched.

Texts are stored in the normalisation form C of Unicode: two spellings of a name are one, and so is their length.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

import msgspec

from service.contract.body import decode_strictly
from service.contract.merge_patch import Members, merge
from service.contract.problems import INVALID_BODY, Problem, Rejected
from service.contract.profiles import (
    ATTRIBUTE_MAX,
    ATTRIBUTES_MOST,
    DISPLAY_NAME_MAX,
    INVALID_ATTRIBUTES,
    is_attribute_name,
)
from service.players.problems import INVALID_NAME

_REFUSED: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f\u2028\u2029"  # control characters, and others that break a line
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates: they turn the text that follows
    "\ufff9-\ufffb\ufffe\uffff\ufdd0-\ufdef"  # annotations, and what is no character
    "\ud800-\udfff"  # halves of a surrogate pair
    "]"
)
_UNSEEN: Final = ("Cf", "Mn", "Me", "Zs")
"""Categories of characters that show nothing by themselves: format, marks, spaces."""
_BLANK: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and signs that are drawn as nothing."""


class Shown(msgspec.Struct, frozen=True):
    """A profile's content. `attributes` are in the order of their names."""

    name: str | None
    attributes: dict[str, str]


class _Loose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body whose texts are not checked yet."""

    displayName: str | None = None
    attributes: dict[str, str] = {}


def decode_profile(body: bytes) -> Shown:
    """Decode and check the body of a PUT. Raises `Rejected`."""
    return check_profile(decode_strictly(_Loose, body))


def decode_patch(body: bytes) -> Members:
    """Decode the body of a PATCH. Its members are checked when it has been merged. Raises `Rejected`."""
    patch: Members = decode_strictly(dict[str, Any], body)
    return patch


def apply_patch(shown: Shown, patch: Members) -> Shown:
    """The profile after a merge patch. Raises `Rejected`."""
    merged = merge({"displayName": shown.name, "attributes": shown.attributes}, patch)
    try:
        loose = msgspec.convert(merged, _Loose)
    except msgspec.ValidationError as error:
        raise Rejected(INVALID_BODY.with_detail(str(error))) from error
    return check_profile(loose)


def check_profile(loose: _Loose) -> Shown:
    """The profile with normalised texts. Raises `Rejected`."""
    name = loose.displayName
    if name is not None:
        name = check_text(name, DISPLAY_NAME_MAX, INVALID_NAME, "displayName")
    if len(loose.attributes) > ATTRIBUTES_MOST:
        raise Rejected(INVALID_ATTRIBUTES.answer)
    attributes = {}
    for attribute, value in sorted(loose.attributes.items()):
        if is_attribute_name(attribute) is None:
            raise Rejected(INVALID_ATTRIBUTES.answer)
        attributes[attribute] = check_text(value, ATTRIBUTE_MAX, INVALID_ATTRIBUTES, attribute)
    return Shown(name, attributes)


def check_text(text: str, longest: int, problem: Problem, member: str) -> str:
    """The text in NFC, if it may be shown beside other texts. Raises `Rejected`."""
    if _REFUSED.search(text):
        raise Rejected(problem.with_detail(f"{member} has a character that is not allowed. {problem.title}"))
    text = unicodedata.normalize("NFC", text)
    if len(text) > longest:
        raise Rejected(problem.with_detail(f"{member} has {len(text):,} characters. {problem.title}"))
    if not any(is_visible(character) for character in text):
        raise Rejected(problem.with_detail(f"{member} has no visible character. {problem.title}"))
    return text


def is_visible(character: str) -> bool:
    """Whether a character shows something by itself."""
    return unicodedata.category(character) not in _UNSEEN and character not in _BLANK
