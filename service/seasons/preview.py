"""A schedule, tried before a season has it: its next ends."""

from __future__ import annotations

import datetime
from typing import Final

import msgspec

from board.errors import InvalidRule
from board.schedule import Schedule, check_schedule, find_zone, has_dates, list_ends
from service.access.caller import Caller
from service.contract.answers import Answer
from service.seasons.problems import INVALID_SCHEDULE
from service.seasons.types import ENDS_SHOWN, End, ScheduleToTry, ScheduleTried

LATEST: Final = datetime.datetime.max.replace(tzinfo=datetime.UTC)

_encode: Final = msgspec.json.Encoder().encode


class SchedulePreview:
    """The operation that tries a schedule. It asks no server."""

    async def show_ends(self, tried: ScheduleToTry, caller: Caller) -> Answer:
        """The next ends by the clock of this host (`ScheduleTried`, 200; or `INVALID_SCHEDULE`)."""
        try:
            return Answer(200, _encode(ScheduleTried(find_ends(tried, datetime.datetime.now(datetime.UTC)))))
        except InvalidRule as error:
            return INVALID_SCHEDULE.with_detail(str(error))


def find_ends(tried: ScheduleToTry, now: datetime.datetime) -> list[End]:
    """The next ends after an instant, and after `opensAt`. Raises `InvalidRule` for a schedule that no season takes."""
    if not has_dates(tried.opensAt):
        raise InvalidRule("opensAt is out of range")
    check_schedule(tried.schedule, now)
    after = now if tried.opensAt is None else max(now, tried.opensAt)
    zone = zone_of(tried.schedule)
    ends = [End(end, to_local(end, zone)) for end in list_ends(tried.schedule, after, LATEST, ENDS_SHOWN)]
    if not ends:
        raise InvalidRule("schedule has no end after opensAt")
    return ends


def zone_of(schedule: Schedule) -> datetime.tzinfo | None:
    """The zone of a schedule: its own, or the offset of the instant that it has."""
    if schedule.timeZone is not None:
        return find_zone(schedule.timeZone)
    instant = schedule.startsAt or schedule.endsAt
    return None if instant is None else instant.tzinfo


def to_local(end: datetime.datetime, zone: datetime.tzinfo | None) -> datetime.datetime:
    """An instant in a zone; in UTC where the zone has no date for it."""
    try:
        return end.astimezone(zone)
    except OverflowError:
        return end
