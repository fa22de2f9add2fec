"""The operation that streams a board."""

from __future__ import annotations

from typing import Final

from service.access import tickets
from service.contract import problems as p
from service.contract.operation import Operation
from service.contract.parameters import Parameter, make_number_parameter, make_text_parameter
from service.contract.segments import OF_SEGMENT, SEGMENT
from service.contract.shared import INT64, SEASON
from service.contract.streams import EVENT_STREAM
from service.contract.types import UserId
from service.stream.streams import TOO_MANY_STREAMS, BoardStreams
from service.stream.types import Events, StreamLimit

_LIMIT: Final = make_number_parameter(
    "limit", StreamLimit, default=10, meaning="How many players at most.", code="invalid-stream-limit"
)
_USER: Final = make_text_parameter(
    "userId",
    "query",
    UserId,
    p.INVALID_USER,
    "A player: the window around the player comes with each change, as the event `around`.",
    required=False,
)
_LAST: Final = Parameter(
    name="Last-Event-ID",
    place="header",
    kind=str,
    meaning="The `id` of the last event that the client has: the stream goes on from there where that state is known.",
    required=False,
    is_passed=True,
)
_TICKET: Final = Parameter(
    name="ticket",
    place="query",
    kind=str,
    meaning="A ticket with the use `stream`, for a client that cannot send `Authorization`. It is good once.",
    required=False,
)

OPERATIONS: Final = (
    Operation(
        name="streamTop",
        method="GET",
        path="/v1/seasons/{sid}/leaderboard/stream",
        handler=BoardStreams.listen,
        scope="read",
        summary="The best players as they change: Server-Sent Events, at most one change in a quarter of a second.",
        parameters=(SEASON, _LIMIT, _USER, SEGMENT, _LAST, _TICKET, INT64),
        answers={200: ("The list, then its changes. The answer has no end.", Events)},
        problems=(p.BOARD_UNAVAILABLE, p.BOARD_REBUILDING, TOO_MANY_STREAMS, *OF_SEGMENT, *tickets.PROBLEMS),
        media_type=EVENT_STREAM,
    ),
)
