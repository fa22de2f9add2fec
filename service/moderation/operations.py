"""The operations of fair play."""

from __future__ import annotations

from typing import Final

from service.contract import problems as p
from service.contract.body import KIB, Body
from service.contract.operation import Operation
from service.contract.parameters import make_cursor_parameter, make_number_parameter, make_text_parameter
from service.contract.reason import REASON
from service.contract.shared import INT64, SEASON
from service.contract.types import UserId
from service.moderation import problems as own
from service.moderation.bans import decode_ban, decode_reason
from service.moderation.history import PlayerHistory, parse_place
from service.moderation.restrictions import PlayerModerator
from service.moderation.types import History, HistoryCursor, Limit, Moderation, ModerationReason, ShownBanWanted

_USER: Final = make_text_parameter("userId", "path", UserId, p.INVALID_USER, "The player.")
_CURSOR: Final = make_cursor_parameter(HistoryCursor, parse_place)
_LIMIT: Final = make_number_parameter("limit", Limit, default=100, meaning="How many submissions at most.")
_REASON_BODY: Final = Body(
    kind=ModerationReason,
    most=4 * KIB,
    decode=decode_reason,
    own_problems=(own.INVALID_MODERATION_REASON,),
    required=False,
)
_CHANGE: Final = (p.STORE_UNAVAILABLE, own.MODERATION_PENDING, p.OUTCOME_UNKNOWN)
_STATE: Final = {200: ("The state of the player.", Moderation)}

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
    Operation(
        name="banPlayer",
        method="POST",
        path="/v1/players/{userId}/ban",
        handler=PlayerModerator.ban,
        scope="moderate",
        summary="Ban a player: no submissions, and no board shows the player when the answer comes.",
        parameters=(_USER, REASON),
        body=Body(
            kind=ShownBanWanted,
            most=32 * KIB,
            decode=decode_ban,
            own_problems=(own.INVALID_MODERATION_REASON, own.INVALID_BAN_SEASONS, own.INVALID_UNTIL),
        ),
        answers=_STATE,
        problems=(p.SEASON_NOT_FOUND, *_CHANGE),
        on_admin_bind=True,
    ),
    Operation(
        name="unbanPlayer",
        method="POST",
        path="/v1/players/{userId}/unban",
        handler=PlayerModerator.unban,
        scope="moderate",
        summary="End a player's ban: all that was comes back.",
        parameters=(_USER, REASON),
        body=_REASON_BODY,
        answers=_STATE,
        problems=_CHANGE,
        on_admin_bind=True,
    ),
    Operation(
        name="hidePlayer",
        method="POST",
        path="/v1/players/{userId}/hide",
        handler=PlayerModerator.hide,
        scope="moderate",
        summary="Hide a player: submissions go on, and no board shows the player when the answer comes.",
        parameters=(_USER, REASON),
        body=_REASON_BODY,
        answers=_STATE,
        problems=_CHANGE,
        on_admin_bind=True,
    ),
    Operation(
        name="showPlayer",
        method="POST",
        path="/v1/players/{userId}/show",
        handler=PlayerModerator.show,
        scope="moderate",
        summary="Show a hidden player again, unless a ban is in force.",
        parameters=(_USER, REASON),
        body=_REASON_BODY,
        answers=_STATE,
        problems=_CHANGE,
        on_admin_bind=True,
    ),
    Operation(
        name="getModeration",
        method="GET",
        path="/v1/players/{userId}/moderation",
        handler=PlayerModerator.read_state,
        scope="moderate",
        summary="Whether a player is banned or hidden.",
        parameters=(_USER,),
        answers=_STATE,
        problems=(p.STORE_UNAVAILABLE,),
        on_admin_bind=True,
    ),
)
