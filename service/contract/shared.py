"""Parameters that several features share."""

from __future__ import annotations

from typing import Final

from service.contract import problems
from service.contract.parameters import Parameter, make_choice_parameter, make_text_parameter
from service.contract.types import Int64Spelling, SeasonId, UserId

SEASON: Final = make_text_parameter(
    "sid",
    "path",
    SeasonId,
    problems.INVALID_SEASON,
    "The season. It exists from its definition, or its first submission, on.",
)
USER: Final = make_text_parameter("userId", "query", UserId, problems.INVALID_USER, "The player.")
IF_NONE_MATCH: Final = Parameter(
    name="If-None-Match",
    place="header",
    kind=str,
    meaning="The `ETag` of an answer that the client has: if it still holds, the answer is 304 without a body.",
    required=False,
)
INT64: Final = make_choice_parameter(
    "int64",
    Int64Spelling,
    "number",
    "How scores and versions are spelled: as numbers, or as strings, for clients whose numbers are doubles.",
    code="invalid-number-spelling",
)
"""The last parameter of path and query of an operation that takes it. No handler gets it (`service.http.spelling`)."""
IF_MATCH: Final = Parameter(
    name="If-Match",
    place="header",
    kind=str,
    meaning="The `ETag` of the state that the change is based on; `*`: any, if there is one.",
    required=False,
)
IF_NEW: Final = Parameter(
    name="If-None-Match",
    place="header",
    kind=str,
    meaning="`*`: only if there is none yet; the `ETag` of a state: not if this one still holds.",
    required=False,
)
