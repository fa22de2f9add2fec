"""Reading the audit."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from board.audit import Action, TargetType
from board.pg.read_connection import ReadConnection
from service.audit.types import ActList, Actor, AuditedAct, Target
from service.contract.answers import Answer
from service.contract.problems import INVALID_CURSOR, Rejected, add_problem
from service.contract.season_cursors import encode_cursor, parse_cursor

INVALID_INSTANT: Final = add_problem(
    "invalid-instant",
    400,
    "from and to must be times with an offset, such as 2026-11-30T00:00:00Z.",
    "`from` or `to` is not a time of RFC 3339.",
)
NUMBER_MOST: Final = 2**63 - 1

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class AuditLog:
    """The audit of one worker. Reads raise `StoreUnavailable` and `ServerUnreachable`."""

    def __init__(self, reads: ReadConnection) -> None:
        self._read: Final = reads.read

    async def list_acts(
        self,
        below: int,
        limit: int,
        action: Action | None,
        actor: str | None,
        target_type: TargetType | None,
        target: str | None,
        since: datetime.datetime | None,
        until: datetime.datetime | None,
    ) -> Answer:
        """List `limit` acts with a number below `below`, the latest first (`ActList`, 200). None: any."""
        chosen = choose(below, limit + 1, action, actor, target_type, target, since, until)
        rows = await self._read("audit_page", chosen)
        items = [make_act(row) for row in rows[:limit]]
        cursor = encode_cursor(str(items[-1].id)) if len(rows) > limit else None
        return Answer(200, _encode(ActList(items, cursor)))


def choose(
    below: int = NUMBER_MOST,
    limit: int = 100,
    action: Action | None = None,
    actor: str | None = None,
    target_type: TargetType | None = None,
    target: str | None = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
) -> dict[str, Any]:
    """The parameters of `audit_page`. None: any."""
    return {
        "below": below, "limit": limit, "action": action, "actor": actor, "target_type": target_type, "target": target,
        "since": since, "until": until,
    }  # fmt: skip


def make_act(row: Sequence[Any]) -> AuditedAct:
    """An act of a row of the query `audit_page`."""
    number, at, actor_type, actor, request_id, action, target_type, target, player, reason, before, after = row
    return AuditedAct(
        number,
        at,
        None if actor_type is None else Actor(actor_type, actor),
        request_id,
        action,
        Target(target_type, *(msgspec.UNSET if value is None else value for value in (target, player))),
        reason,
        None if before is None else _decode(before),
        None if after is None else _decode(after),
    )


def parse_act_cursor(text: str | None) -> int:
    """The number below which a page begins; beyond all of them for no cursor. Raises `Rejected`."""
    if text is None:
        return NUMBER_MOST
    number = parse_cursor(text)
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Rejected(INVALID_CURSOR.answer)
    return int(number)


def parse_instant(text: str | None) -> datetime.datetime | None:
    """A time with an offset; None for none. Raises `Rejected`."""
    if text is None:
        return None
    try:
        instant = msgspec.convert(text, datetime.datetime)
    except msgspec.ValidationError as error:
        raise Rejected(INVALID_INSTANT.answer) from error
    # At the ends of the calendar a time has no equal in UTC, which is what PostgreSQL is sent.
    if instant.tzinfo is None or not 1 < instant.year < 9999:
        raise Rejected(INVALID_INSTANT.answer)
    return instant
