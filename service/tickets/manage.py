"""Giving out tickets, and passes for them."""

from __future__ import annotations

import datetime
from typing import Final

import msgspec

from service.access.caller import Caller
from service.access.tickets import Tickets
from service.contract.answers import Answer
from service.contract.body import decode_strictly
from service.tickets.types import Pass, PassWanted, Ticket, TicketWanted

_encode: Final = msgspec.json.Encoder().encode


class TicketOffice:
    """The operations on tickets of one worker."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets: Final = tickets

    async def give_ticket(self, season: str, wanted: TicketWanted, caller: Caller) -> Answer:
        """Give a ticket to a caller who may read the season (`Ticket`, 200)."""
        text, until = self._tickets.make(wanted.use, season, caller)
        return Answer(200, _encode(Ticket(text, wanted.use, make_instant(until))))

    async def give_pass(self, season: str, wanted: PassWanted, caller: Caller) -> Answer:
        """Give a pass for a ticket (`Pass`, 200; or the refusal of the ticket). Raises `BoardUnavailable`."""
        made = await self._tickets.exchange(wanted.ticket, season)
        if isinstance(made, Answer):
            return made
        text, until = made
        return Answer(200, _encode(Pass(text, make_instant(until))))


def make_instant(unix_s: float) -> datetime.datetime:
    """A time as answers have it, in whole seconds."""
    return datetime.datetime.fromtimestamp(int(unix_s), datetime.UTC)


def decode_wanted(body: bytes) -> TicketWanted:
    """Decode the body of a request for a ticket; an empty one means a stream. Raises `Rejected`."""
    return TicketWanted() if body == b"" else decode_strictly(TicketWanted, body)
