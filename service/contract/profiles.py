"""Profiles of players as several features know them: their types, and the names of attributes."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from service.contract.parameters import Parameter
from service.contract.problems import Rejected, add_problem

DISPLAY_NAME_MAX: Final = 64
ATTRIBUTES_MOST: Final = 8
ATTRIBUTE_MAX: Final = 128
_NAME: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,31}(?![\s\S])"

_NAMES: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,31}(,[A-Za-z][A-Za-z0-9_-]{0,31}){0,7}$"

is_attribute_name: Final = re.compile(_NAME).match

AttributeName = Annotated[str, msgspec.Meta(pattern=_NAME, examples=["country"])]
AttributeValue = Annotated[str, msgspec.Meta(min_length=1, max_length=ATTRIBUTE_MAX, examples=["KR"])]
DisplayName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=DISPLAY_NAME_MAX,
        description="The name to show: 1 to 64 characters in NFC, none of them control or bidirectional-override ones.",
        examples=["Ada L."],
    ),
]
Attributes = Annotated[
    dict[AttributeName, AttributeValue],
    msgspec.Meta(
        max_length=ATTRIBUTES_MOST,
        description=f"Up to {ATTRIBUTES_MOST} short texts, such as `country`, `platform`, `avatar`.",
        examples=[{"country": "KR"}],
    ),
]

INVALID_ATTRIBUTES: Final = add_problem(
    "invalid-attributes",
    400,
    f"attributes are up to {ATTRIBUTES_MOST}: names of 1 to 32 letters, digits, _ and -, texts of 1 to {ATTRIBUTE_MAX} "
    "characters without control characters.",
    "`attributes` of a profile, or in a query: too many, a name that is none or is there twice, or a text that is "
    "empty, invisible, too long, or with control characters.",
)


def parse_attributes(text: str | None) -> tuple[str, ...]:
    """The names in the query's `attributes`, which commas separate. Raises `Rejected`."""
    if text is None:
        return ()
    names = tuple(text.split(","))
    if len(names) > ATTRIBUTES_MOST or len({*names}) < len(names) or not all(map(is_attribute_name, names)):
        raise Rejected(INVALID_ATTRIBUTES.answer)
    return names


ATTRIBUTES: Final = Parameter(
    name="attributes",
    place="query",
    kind=Annotated[str, msgspec.Meta(pattern=_NAMES, max_length=263, examples=["country,platform"])],
    meaning="Attributes of the players' profiles that the rows show, separated by commas.",
    parse=parse_attributes,
    problem=INVALID_ATTRIBUTES,
    required=False,
)
