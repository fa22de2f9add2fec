"""Preconditions of changes (RFC 9110, 13.1.1): entity tags of revisions, and `If-Match`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Precondition = Callable[[int | None], bool]
"""Whether a change may go on, from the object's revision; None: there is no such object."""

_TAG: Final = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*')


def make_tag(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def make_precondition(if_match: str | None) -> Precondition:
    """The precondition of an `If-Match` header; None: there is none. Weak tags never match."""
    if if_match is None:
        return lambda revision: True
    if if_match.strip() == "*":
        return lambda revision: revision is not None
    tags = [_TAG.fullmatch(text) for text in if_match.split(",")]
    wanted = {tag[2] for tag in tags if tag is not None and tag[1] is None}
    return lambda revision: revision is not None and str(revision) in wanted
