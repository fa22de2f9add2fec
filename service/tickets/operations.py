"""The operations on tickets."""

from __future__ import annotations

from functools import partial
from typing import Final

from service.access import tickets as own
from service.contract import problems as p
from service.contract.body import KIB, Body, decode_strictly
from service.contract.operation import Operation
from service.contract.scopes import PUBLIC
from service.contract.shared import SEASON
from service.tickets.manage import TicketOffice, decode_wanted
from service.tickets.types import Pass, PassWanted, Ticket, TicketWanted

_BODY_MOST: Final = 4 * KIB

OPERATIONS: Final = (
    Operation(
        name="giveTicket",
        method="POST",
        path="/v1/seasons/{sid}/tickets",
        handler=TicketOffice.give_ticket,
        scope="read",
        summary="A ticket for one stream or page of this season, for clients that cannot send a header.",
        parameters=(SEASON,),
        body=Body(kind=TicketWanted, most=_BODY_MOST, decode=decode_wanted, required=False),
        answers={200: ("The ticket.", Ticket)},
    ),
    Operation(
        name="givePass",
        method="POST",
        path="/v1/seasons/{sid}/passes",
        handler=TicketOffice.give_pass,
        scope=PUBLIC,
        summary="Exchange a ticket for a page for a pass, which reads this season and nothing else.",
        parameters=(SEASON,),
        body=Body(kind=PassWanted, most=_BODY_MOST, decode=partial(decode_strictly, PassWanted)),
        answers={200: ("The pass.", Pass)},
        problems=(
            *own.PROBLEMS,
            p.CREDENTIAL_UNKNOWN,
            p.CREDENTIAL_REVOKED,
            p.CREDENTIAL_EXPIRED,
            p.SEASON_FORBIDDEN,
            p.ACCESS_NOT_LOADED,
            p.BOARD_UNAVAILABLE,
        ),
    ),
)
