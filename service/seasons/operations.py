"""The operations that administer seasons."""

from __future__ import annotations

from functools import partial
from typing import Final

from service.contract import problems as p
from service.contract.body import KIB, Body, decode_strictly
from service.contract.operation import Operation
from service.contract.parameters import Parameter, make_cursor_parameter, make_number_parameter
from service.contract.reason import REASON
from service.contract.season_cursors import parse_cursor
from service.contract.shared import IF_MATCH, IF_NEW, SEASON
from service.contract.types import SeasonCursor
from service.contract.validation import JSON_TYPE, MERGE_PATCH_TYPE
from service.seasons import problems as own
from service.seasons.definition import decode_definition, decode_patch
from service.seasons.manage import SeasonManager, parse_period_cursor, parse_state
from service.seasons.preview import SchedulePreview
from service.seasons.reset import SeasonReset
from service.seasons.types import (
    Definition,
    DefinitionPatch,
    Deleted,
    Limit,
    PeriodBegun,
    PeriodCursor,
    PeriodList,
    ScheduleToTry,
    ScheduleTried,
    Season,
    SeasonList,
    State,
)

_BODY_MOST: Final = 16 * KIB
_CURSOR: Final = make_cursor_parameter(SeasonCursor, parse_cursor)
_PERIOD_CURSOR: Final = make_cursor_parameter(PeriodCursor, parse_period_cursor)
_STATE: Final = Parameter(
    name="state",
    place="query",
    kind=State,
    meaning="Seasons in this state only.",
    parse=parse_state,
    problem=own.INVALID_STATE,
    required=False,
)
_LIMIT: Final = make_number_parameter("limit", Limit, default=100, meaning="How many seasons at most.")
_PERIODS: Final = make_number_parameter("limit", Limit, default=100, meaning="How many periods at most.")
_CHANGE: Final = (
    own.INVALID_DEFINITION,
    own.INVALID_FEEDS,
    own.FEED_FORBIDDEN,
    own.SETTING_FIXED,
    p.PRECONDITION_FAILED,
    p.STORE_UNAVAILABLE,
    p.OUTCOME_UNKNOWN,
)

OPERATIONS: Final = (
    Operation(
        name="defineSeason",
        method="PUT",
        path="/v1/seasons/{sid}",
        handler=SeasonManager.define,
        scope="admin",
        summary="Define a season: its rule, its bounds, its periods. Missing members become defaults.",
        parameters=(SEASON, IF_MATCH, IF_NEW, REASON),
        body=Body(kind=Definition, most=_BODY_MOST, decode=decode_definition),
        answers={200: ("The season, which existed.", Season), 201: ("The new season.", Season)},
        problems=_CHANGE,
    ),
    Operation(
        name="patchSeason",
        method="PATCH",
        path="/v1/seasons/{sid}",
        handler=SeasonManager.patch,
        scope="admin",
        summary="Change members of a season (JSON merge patch); `null` sets a member back to its default.",
        parameters=(SEASON, IF_MATCH, IF_NEW, REASON),
        body=Body(
            kind=DefinitionPatch,
            most=_BODY_MOST,
            decode=decode_patch,
            media_types=(JSON_TYPE, MERGE_PATCH_TYPE),
        ),
        answers={200: ("The season.", Season)},
        problems=(p.SEASON_NOT_FOUND, *_CHANGE),
    ),
    Operation(
        name="getSeason",
        method="GET",
        path="/v1/seasons/{sid}",
        handler=SeasonManager.read,
        scope="read",
        summary="A season: its definition and its current period. `ETag` names the definition's revision.",
        parameters=(SEASON,),
        answers={200: ("The season.", Season)},
        problems=(p.SEASON_NOT_FOUND, p.STORE_UNAVAILABLE),
    ),
    Operation(
        name="listSeasons",
        method="GET",
        path="/v1/seasons",
        handler=SeasonManager.list,
        scope="read",
        summary="The seasons, by name.",
        parameters=(_CURSOR, _LIMIT, _STATE),
        answers={200: ("A page of the seasons.", SeasonList)},
        problems=(p.STORE_UNAVAILABLE,),
    ),
    Operation(
        name="listPeriods",
        method="GET",
        path="/v1/seasons/{sid}/periods",
        handler=SeasonManager.list_periods,
        scope="read",
        summary="The periods of a season, the latest first.",
        parameters=(SEASON, _PERIOD_CURSOR, _PERIODS),
        answers={200: ("A page of the periods.", PeriodList)},
        problems=(p.SEASON_NOT_FOUND, p.STORE_UNAVAILABLE),
    ),
    Operation(
        name="previewSchedule",
        method="POST",
        path="/v1/schedules/preview",
        handler=SchedulePreview.show_ends,
        scope="admin",
        summary="The next ends of a schedule, before a season has it. Nothing is changed.",
        body=Body(kind=ScheduleToTry, most=4 * KIB, decode=partial(decode_strictly, ScheduleToTry)),
        answers={200: ("The next ends.", ScheduleTried)},
        problems=(own.INVALID_SCHEDULE,),
    ),
    Operation(
        name="endPeriod",
        method="POST",
        path="/v1/seasons/{sid}/reset",
        handler=SeasonReset.end_period,
        scope="admin",
        summary="End the season's period now, and keep it. The next one begins, without a grace for the old one.",
        parameters=(SEASON, REASON),
        answers={200: ("The new period.", PeriodBegun)},
        problems=(
            p.SEASON_NOT_FOUND,
            p.PERIOD_CLOSED,
            p.STORE_UNAVAILABLE,
            p.RESET_PENDING,
            p.OUTCOME_UNKNOWN,
        ),
    ),
    Operation(
        name="resetSeason",
        method="DELETE",
        path="/v1/seasons/{sid}",
        handler=SeasonReset.reset,
        scope="admin",
        summary="Empty the season: its period ends, the next begins. After the answer no earlier score is visible.",
        parameters=(SEASON, REASON),
        answers={200: ("The board is empty.", Deleted)},
        problems=(p.STORE_UNAVAILABLE, p.RESET_PENDING, p.OUTCOME_UNKNOWN),
    ),
)
