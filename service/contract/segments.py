"""The parameter `segment` of queries, and the problems of a segment."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final

import msgspec

from board.segments import SEGMENTS_MOST, VALUES_MOST
from service.contract.parameters import Parameter
from service.contract.problems import Rejected, add_problem
from service.contract.profiles import ATTRIBUTE_MAX, is_attribute_name
from service.contract.validation import is_plain

_MOST: Final = 32 + 1 + ATTRIBUTE_MAX
SegmentName = Annotated[
    str,
    msgspec.Meta(
        min_length=3,
        max_length=_MOST,
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}:",
        description="An attribute of the season's `segments`, a colon, and a value.",
        examples=["country:KR"],
    ),
]

INVALID_SEGMENT: Final = add_problem(
    "invalid-segment",
    400,
    f"segment must be an attribute, a colon, and a value of 1 to {ATTRIBUTE_MAX} characters: country:KR.",
    "The query's `segment` has no colon, no name of an attribute before it, or no value that a profile could have.",
)
NO_SEGMENTS: Final = add_problem(
    "no-segments",
    400,
    "The season has no segments.",
    "The query has a `segment`, and the season was defined without `segments`, or does not exist.",
)
UNKNOWN_SEGMENT: Final = add_problem(
    "unknown-segment",
    400,
    "The attribute is none of the season's segments.",
    f"The query's `segment` names another attribute than those in the season's `segments`, of which it has up to "
    f"{SEGMENTS_MOST}.",
)
NO_SEGMENT_BOARD: Final = add_problem(
    "segment-without-board",
    404,
    f"The value has no board: {VALUES_MOST:,} others of this attribute have one.",
    f"An attribute has boards for {VALUES_MOST:,} values in a season. The others may have players, and have no board. "
    "`fullSegments` of the season names the attribute.",
)
OF_SEGMENT: Final = (NO_SEGMENTS, UNKNOWN_SEGMENT, NO_SEGMENT_BOARD)
"""The problems of a read of a segment, beside that of the parameter."""


def parse_segment(text: str | None) -> str | None:
    """The segment in a query, in NFC as profiles are; None for none. Raises `Rejected`."""
    if text is None:
        return None
    attribute, _, value = text.partition(":")
    value = unicodedata.normalize("NFC", value) if len(value) <= _MOST else value
    if is_attribute_name(attribute) is None or not is_plain(value, ATTRIBUTE_MAX):
        raise Rejected(INVALID_SEGMENT.answer)
    return f"{attribute}:{value}"


SEGMENT: Final = Parameter(
    name="segment",
    place="query",
    kind=SegmentName,
    meaning="Players with this value of an attribute only: ranks and numbers are those among them.",
    parse=parse_segment,
    problem=INVALID_SEGMENT,
    required=False,
)
