"""Bodies of requests and answers of the operations that administer seasons."""

from __future__ import annotations

import datetime
from typing import Annotated, Final, Literal

import msgspec

from board.feeds import FEEDS_MOST
from board.periods import GRACE_MOST_S
from board.schedule import Schedule
from board.season import COLUMNS_MOST, Bounds, Column, Operator, Order, Ranking
from board.segments import SEGMENTS_MOST, VALUES_MOST
from service.contract.profiles import AttributeName
from service.contract.types import Metadata, SeasonCursor, SeasonId

TITLE_MAX: Final = 200
UNIT_MAX: Final = 32
ENDS_SHOWN: Final = 5
"""The next ends of a schedule that is tried."""

State = Literal["upcoming", "open", "closing", "closed", "final"]
Visibility = Literal["private", "public"]
PERIODS_MOST: Final = 1_000_000
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, examples=[100])]
"""Seasons, or periods, of one page."""
PeriodCursor = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=512, description="The `nextCursor` of the page before.", examples=["Mg"]),
]
Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-29T10:00:00Z"])]
ScheduleOfSeason = Annotated[
    Schedule,
    msgspec.Meta(
        description="`cron` and `timeZone`; or `every` and `startsAt`; or `endsAt`.",
        examples=[{"cron": "0 0 * * MON", "timeZone": "Europe/Berlin"}],
    ),
]
Columns = Annotated[
    tuple[Column, ...],
    msgspec.Meta(
        max_length=COLUMNS_MOST,
        description="Further numbers of a run, compared after the score, in this order.",
        examples=[[{"name": "time", "order": "asc"}]],
    ),
]
GraceS = Annotated[
    int,
    msgspec.Meta(
        ge=0, le=GRACE_MOST_S, description="Seconds from the end of a period to its final ranks.", examples=[0]
    ),
]
KeepPeriods = Annotated[
    int, msgspec.Meta(ge=1, le=PERIODS_MOST, description="How many ended periods stay readable.", examples=[52])
]
VisibilityOfSeason = Annotated[
    Visibility, msgspec.Meta(description="`public`: reads of the season need no credential.")
]
Feeds = Annotated[
    tuple[SeasonId, ...],
    msgspec.Meta(
        max_length=FEEDS_MOST,
        description="Other seasons in which each submission counts, too, by their own rules.",
        examples=[[]],
    ),
]
Segments = Annotated[
    tuple[AttributeName, ...],
    msgspec.Meta(
        max_length=SEGMENTS_MOST,
        description=f"Attributes of players of which each value has a board of its own, up to {VALUES_MOST:,} values.",
        examples=[["country"]],
    ),
]
Title = Annotated[str, msgspec.Meta(max_length=TITLE_MAX, examples=["Best lap"])]


PeriodNumber = Annotated[int, msgspec.Meta(ge=1, examples=[1])]


class Deleted(msgspec.Struct, frozen=True):
    """The season's board is empty; submissions from now on count in a new period."""

    seasonId: SeasonId
    deleted: Literal[True]


class Display(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How clients may show scores: a number with `decimals` digits behind the point and a unit, or a time."""

    unit: Annotated[str, msgspec.Meta(max_length=UNIT_MAX, examples=["s"])] = ""
    decimals: Annotated[int, msgspec.Meta(ge=0, le=18, examples=[3])] = 0
    format: Literal["number", "time"] = "number"


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The members of a season that are set. Missing ones are defaults: those of a season that was never defined."""

    operator: Operator = "sum"
    order: Order = "desc"
    columns: Columns = ()
    ranking: Ranking = "ordinal"
    bounds: Bounds = Bounds()
    opensAt: Instant | None = None
    schedule: ScheduleOfSeason | None = None
    graceS: GraceS = 0
    keepPeriods: KeepPeriods | None = None
    feeds: Feeds = ()
    segments: Segments = ()
    title: Title = ""
    metadata: Metadata = {}
    display: Display = Display()
    visibility: VisibilityOfSeason = "private"


class DefinitionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch (RFC 7396) of a definition: `null` sets a member back to its default."""

    operator: Operator | msgspec.UnsetType | None = msgspec.UNSET
    order: Order | msgspec.UnsetType | None = msgspec.UNSET
    columns: Columns | msgspec.UnsetType | None = msgspec.UNSET
    ranking: Ranking | msgspec.UnsetType | None = msgspec.UNSET
    bounds: Bounds | msgspec.UnsetType | None = msgspec.UNSET
    opensAt: Instant | msgspec.UnsetType | None = msgspec.UNSET
    schedule: ScheduleOfSeason | msgspec.UnsetType | None = msgspec.UNSET
    graceS: GraceS | msgspec.UnsetType | None = msgspec.UNSET
    keepPeriods: KeepPeriods | msgspec.UnsetType | None = msgspec.UNSET
    feeds: Feeds | msgspec.UnsetType | None = msgspec.UNSET
    segments: Segments | msgspec.UnsetType | None = msgspec.UNSET
    title: Title | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType | None = msgspec.UNSET
    display: Display | msgspec.UnsetType | None = msgspec.UNSET
    visibility: VisibilityOfSeason | msgspec.UnsetType | None = msgspec.UNSET


class ScheduleToTry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule, and the instant before which the season takes no submissions."""

    schedule: ScheduleOfSeason
    opensAt: Instant | None = None


class End(msgspec.Struct, frozen=True):
    """An end of a period: the instant, and the same as clocks in the schedule's own zone show it."""

    at: Instant
    local: Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-30T00:00:00+01:00"])]


class ScheduleTried(msgspec.Struct, frozen=True):
    """The next ends of a schedule, the first ones of all: a schedule with a single end has one."""

    ends: Annotated[list[End], msgspec.Meta(min_length=1, max_length=ENDS_SHOWN)]


class Period(msgspec.Struct, frozen=True):
    """The current period of a season.

    `upcoming`: it opens later. `closing`: it has ended, and its ranks are final after the season's `graceS`. `closed`:
    its final ranks are being written. `final`: they are.
    """

    number: PeriodNumber
    startsAt: Instant
    endsAt: Instant | None
    state: State


class ListedPeriod(msgspec.Struct, frozen=True):
    """A period of a season. `players` is their number once the period is final."""

    number: PeriodNumber
    startsAt: Instant
    endsAt: Instant | None
    state: State
    players: Annotated[int, msgspec.Meta(ge=0, examples=[1])] | None


class PeriodList(msgspec.Struct, frozen=True):
    """A page of the periods, the latest first. `nextCursor` leads to the next page; it is null on the last one."""

    items: list[ListedPeriod]
    nextCursor: PeriodCursor | None


class PeriodBegun(msgspec.Struct, frozen=True):
    """The season's period has ended and is kept; this is the new one."""

    seasonId: SeasonId
    period: Period


class Season(msgspec.Struct, frozen=True, kw_only=True):
    """A season: its definition, and its current period. `nextEndsAt` is the end of the period after it.

    `players` are those on its board; null: Redis could not tell, or was not asked.
    `fullSegments`, if there are some: segments with more values than have boards.
    """

    seasonId: SeasonId
    operator: Operator
    order: Order
    columns: Columns
    ranking: Ranking
    bounds: Bounds
    opensAt: Instant | None
    schedule: ScheduleOfSeason | None
    graceS: GraceS
    keepPeriods: KeepPeriods | None
    feeds: Feeds
    segments: Segments
    title: Title
    metadata: Metadata
    display: Display
    visibility: VisibilityOfSeason
    period: Period
    nextEndsAt: Instant | None
    players: Annotated[int, msgspec.Meta(ge=0, examples=[1])] | None = None
    fullSegments: list[AttributeName] | msgspec.UnsetType = msgspec.UNSET


class SeasonList(msgspec.Struct, frozen=True):
    """A page of the seasons, by name. `nextCursor` leads to the next page; it is null on the last one."""

    items: list[Season]
    nextCursor: SeasonCursor | None
