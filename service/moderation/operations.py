"""The operations of fair play."""

from __future__ import annotations

from typing import Final

from service.contract import problems as p
from service.contract.operation import Operation
from service.contract.parameters import Parameter, make_number_parameter, make_text_parameter
from service.contract.shared import INT64, SEASON
from service.contract.types import UserId
from service.moderation.history import PlayerHistory, parse_place
from service.moderation.types import History, HistoryCursor, Limit

_USER: Final = make_text_parameter("userId", "path", UserId, p.INVALID_USER, "The player.")
_CURSOR: Final = Parameter(
    name="cursor",
    place="query",
    kind=HistoryCursor,
    meaning="Leads to the next page.",
    parse=parse_place,
    problem=p.INVALID_CURSOR,
    required=False,
)
_LIMIT: Final = make_number_parameter("limit", Limit, default=100, meaning="How many submissions at most.")

OPERATIONS: Final = (
    Operation(
        name="listSubmissions",
        method="GET",
        path="/v1/seasons/{sid}/players/{userId}/submissions",
        handler=PlayerHistory.list_submissions,
        scope="moderate",
        summary="What a player submitted to a season, the latest first, with who submitted it, and whether it counts.",
        parameters=(SEASON, _USER, _CURSOR, _LIMIT, INT64),
        answers={200: ("A page of the submissions.", History)},
        problems=(p.SEASON_NOT_FOUND, p.STORE_UNAVAILABLE),
        on_admin_bind=True,
    ),
)
