"""Preconditions of changes (RFC 9110, 13.1): entity tags of revisions, `If-Match` and `If-None-Match`."""

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


def make_precondition(if_match: str | None, if_none_match: str | None = None) -> Precondition | None:
    """The precondition of a change by its headers `If-Match` and `If-None-Match`; None: it has neither.

    Weak tags never match the first, and as strong ones the second. With both headers, both hold.
    """
    if if_match is None and if_none_match is None:
        return None
    is_wanted = _make_match(if_match, weak=False) if if_match is not None else always
    is_unwanted = _make_match(if_none_match, weak=True) if if_none_match is not None else _never
    return lambda revision: is_wanted(revision) and not is_unwanted(revision)


def always(revision: int | None) -> bool:
    """The precondition of a change without one."""
    return True


def _never(revision: int | None) -> bool:
    return False


def _make_match(header: str, *, weak: bool) -> Precondition:
    """Whether a revision is one of those that a header names."""
    if header.strip() == "*":
        return lambda revision: revision is not None
    tags = [_TAG.fullmatch(text) for text in header.split(",")]
    named = {tag[2] for tag in tags if tag is not None and (weak or tag[1] is None)}
    return lambda revision: revision is not None and str(revision) in named
