"""The reason of an administrative act: a header, since the bodies of these operations are the objects themselves."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

import msgspec

from service.contract.parameters import Parameter
from service.contract.problems import Rejected, add_problem
from service.contract.validation import is_plain

REASON_HEADER: Final = "X-Audit-Log-Reason"
REASON_MAX: Final = 512
"""Characters of a reason."""

INVALID_REASON: Final = add_problem(
    "invalid-reason",
    400,
    f"{REASON_HEADER} must be 1 to {REASON_MAX} characters in percent-encoded UTF-8, without control characters; "
    "nothing was done.",
    f"The header `{REASON_HEADER}` is empty, too long, not UTF-8, or has control characters.",
)

Reason = Annotated[
    str, msgspec.Meta(min_length=1, max_length=REASON_MAX, description="Why it was done.", examples=["season 2 begins"])
]


def parse_reason(text: str | None) -> str | None:
    """The reason of a header's text; None for no header. Raises `Rejected`.

    Servers pass on the bytes of a header as Latin-1. Many clients send UTF-8 as it is.
    """
    if text is None:
        return None
    try:
        reason = unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeError as error:
        raise Rejected(INVALID_REASON.answer) from error
    if not is_plain(reason, REASON_MAX):
        raise Rejected(INVALID_REASON.answer)
    return reason


REASON: Final = Parameter(
    name=REASON_HEADER,
    place="header",
    kind=Reason,
    meaning="Why it is done, for the audit. Percent-encoded, where it is not ASCII.",
    parse=parse_reason,
    problem=INVALID_REASON,
    required=False,
)
