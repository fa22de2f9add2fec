"""The operation that reads events."""

from __future__ import annotations

from typing import Final

from service.contract import problems as p
from service.contract.operation import Operation
from service.contract.parameters import Parameter, make_choice_parameter, make_number_parameter
from service.contract.shared import INT64
from service.events.feed import INVALID_AFTER, EventFeed, parse_after
from service.events.types import EventId, EventKind, EventList, Limit

_AFTER: Final = Parameter(
    name="after",
    place="query",
    kind=EventId,
    meaning="The `nextCursor` of the answer before, or the `id` of an event.",
    parse=parse_after,
    problem=INVALID_AFTER,
    required=False,
)
_LIMIT: Final = make_number_parameter("limit", Limit, default=100, meaning="How many events at most.")
_KIND: Final = make_choice_parameter("kind", EventKind, None, "Events of this kind only.")

OPERATIONS: Final = (
    Operation(
        name="listEvents",
        method="GET",
        path="/v1/events",
        handler=EventFeed.list_events,
        scope="read",
        summary="Periods that ended, those that are closed, and changes of the leader, the oldest first.",
        parameters=(_AFTER, _LIMIT, _KIND, INT64),
        answers={200: ("The next events.", EventList)},
        problems=(p.STORE_UNAVAILABLE,),
    ),
)
