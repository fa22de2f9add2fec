"""Bodies of requests and answers of the operations on tickets."""

from __future__ import annotations

import datetime
from typing import Annotated

import msgspec

from service.access.tickets import TEXT_MOST, Use

Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-29T10:01:00Z"])]
TicketText = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MOST, examples=["lbt_xKZzdHJlYW0"])]


class TicketWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The use of a ticket: `stream`, in the query of a stream; or `page`, in the fragment of `/board` or `/embed`."""

    use: Annotated[Use, msgspec.Meta(examples=["stream"])] = "stream"


class Ticket(msgspec.Struct, frozen=True):
    """A ticket: good once, until `expiresAt`, for this season and use only."""

    ticket: TicketText
    use: Use
    expiresAt: Instant


class PassWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ticket to exchange."""

    ticket: TicketText


class Pass(msgspec.Struct, frozen=True):
    """A pass: `credential` reads this season until `expiresAt`, as the content of `Authorization: Bearer`."""

    credential: Annotated[str, msgspec.Meta(examples=["lbp_xKRwYXNz"])]
    expiresAt: Instant
