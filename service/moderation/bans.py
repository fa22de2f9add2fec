"""The bodies of moderation: decoded and checked."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from service.contract.body import decode_strictly
from service.contract.problems import Rejected
from service.contract.reason import REASON_MAX
from service.contract.types import SEASON_ID_MAX
from service.contract.validation import is_plain
from service.moderation.problems import INVALID_BAN_SEASONS, INVALID_MODERATION_REASON, INVALID_UNTIL, SEASONS_MOST
from service.moderation.types import BanWanted


class LooseBan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ban with members of any type: each wrong one has an error of its own."""

    reason: Any = None
    seasons: Any = msgspec.UNSET
    until: Any = msgspec.UNSET


def decode_ban(body: bytes) -> BanWanted:
    """Decode the body of a ban. Raises `Rejected`; not for what only PostgreSQL knows."""
    loose = decode_strictly(LooseBan, body)
    return BanWanted(
        check_reason(loose.reason),
        msgspec.UNSET if loose.seasons is msgspec.UNSET else check_seasons(loose.seasons),
        msgspec.UNSET if loose.until is msgspec.UNSET else parse_until(loose.until),
    )


class LooseReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reason of any type."""

    reason: Any = msgspec.UNSET


def decode_reason(body: bytes) -> str | None:
    """Decode a body that may have a reason; None: it has none. Raises `Rejected`."""
    reason = decode_strictly(LooseReason, body).reason if body else msgspec.UNSET
    return None if reason is msgspec.UNSET else check_reason(reason)


def check_reason(reason: Any) -> str:
    """A reason. Raises `Rejected`."""
    if not isinstance(reason, str) or not is_plain(reason, REASON_MAX):
        raise Rejected(INVALID_MODERATION_REASON.answer)
    return reason


def check_seasons(seasons: Any) -> list[str]:
    """The seasons of a ban. Raises `Rejected`."""
    if not isinstance(seasons, list) or not 0 < len(seasons) <= SEASONS_MOST:
        raise Rejected(INVALID_BAN_SEASONS.answer)
    if not all(isinstance(season, str) and is_plain(season, SEASON_ID_MAX) for season in seasons):
        raise Rejected(INVALID_BAN_SEASONS.answer)
    if len({*seasons}) < len(seasons):
        raise Rejected(INVALID_BAN_SEASONS.answer)
    return seasons


def parse_until(until: Any) -> datetime.datetime:
    """The end of a ban. Raises `Rejected`."""
    try:
        instant = msgspec.convert(until, datetime.datetime)
    except msgspec.ValidationError as error:
        raise Rejected(INVALID_UNTIL.answer) from error
    # At the ends of the calendar a time has no equal in UTC, which is what PostgreSQL is sent.
    if not isinstance(until, str) or instant.tzinfo is None or not 1 < instant.year < 9999:
        raise Rejected(INVALID_UNTIL.answer)
    return instant
