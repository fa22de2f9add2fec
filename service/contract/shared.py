"""Parameters that several features share."""

from __future__ import annotations

from typing import Final

from service.contract import problems
from service.contract.parameters import Parameter, make_text_parameter
from service.contract.types import SeasonId, UserId

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
IF_MATCH: Final = Parameter(
    name="If-Match",
    place="header",
    kind=str,
    meaning="The `ETag` of the state that the change is based on; `*`: any, if there is one.",
    required=False,
)
