"""The schedule of a season: when its periods end.

Pure: no clock, no server. A schedule is one of three kinds: a cron expression in a time zone, a grid of equal steps, or
one fixed end. All instants are aware; those that a schedule gives are in UTC, in whole seconds for cron.

Local times of cron are those of Debian's cron. A time that a change of clocks leaves out is the instant of the change;
a time that comes twice is the first one. Expressions whose minute or hour begins with `*` follow the clock on the wall.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from board.errors import InvalidRule

CRON_MOST: Final = 100
EVERY_LEAST: Final = datetime.timedelta(minutes=1)
UTC: Final = datetime.UTC
_OF_HOSTS: Final = re.compile(r"localtime|posixrules|Factory|(?:posix|right)/.*", re.DOTALL)
"""Files beside the zones that are no zone of IANA: each host may have another one, or count leap seconds."""

Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True, examples=["2026-11-30T00:00:00Z"])]


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When periods end: `cron` and `timeZone`; or `every` and `startsAt`; or `endsAt`."""

    cron: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=CRON_MOST,
                description="Minute, hour, day of month, month, day of week.",
                examples=["0 0 * * MON"],
            ),
        ]
        | None
    ) = None
    timeZone: (
        Annotated[str, msgspec.Meta(max_length=64, description="An IANA time zone.", examples=["Europe/Berlin"])] | None
    ) = None
    every: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=64,
                description="An ISO 8601 duration of a minute or more, without years and months.",
                examples=["P14D"],
            ),
        ]
        | None
    ) = None
    startsAt: Annotated[Instant, msgspec.Meta(description="An instant of the grid. It may be past.")] | None = None
    endsAt: Annotated[Instant, msgspec.Meta(description="The only end.")] | None = None


_KINDS: Final = (("cron", "timeZone"), ("every", "startsAt"), ("endsAt",))
"""The members of each kind."""
_DURATION: Final = re.compile(
    r"P(?=.)(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)


def check_schedule(schedule: Schedule, now: datetime.datetime) -> None:
    """Raise `InvalidRule` for a schedule that is not of one kind, or has no end after `now`."""
    given = {name for name in schedule.__struct_fields__ if getattr(schedule, name) is not None}
    if given not in map(set, _KINDS):
        raise InvalidRule(
            "schedule must have cron and timeZone, or every and startsAt, or endsAt, and nothing else; "
            f"it has {', '.join(sorted(given)) or 'nothing'}"
        )
    for name, instant in (("startsAt", schedule.startsAt), ("endsAt", schedule.endsAt)):
        if not has_dates(instant):
            raise InvalidRule(f"schedule.{name} is out of range, or in the past")
    if schedule.endsAt is not None and schedule.endsAt <= now:
        raise InvalidRule("schedule.endsAt is in the past")
    if find_next_end(schedule, now) is None:
        raise InvalidRule(f"schedule.{'cron' if schedule.cron else 'every'} never comes to an end of a period")


def has_dates(instant: datetime.datetime | None) -> bool:
    """Whether an instant has a date in every time zone; True for none."""
    return instant is None or 1 < instant.year < 9_999


def find_next_end(schedule: Schedule, after: datetime.datetime) -> datetime.datetime | None:
    """The first end after an instant, in UTC; None: there is none. Raises `InvalidRule` for what no schedule has."""
    if schedule.endsAt is not None:
        end = schedule.endsAt.astimezone(UTC)
        return end if end > after else None
    if schedule.every is not None and schedule.startsAt is not None:
        return _find_in_grid(parse_every(schedule.every), schedule.startsAt.astimezone(UTC), after.astimezone(UTC))
    return _find_by_cron(schedule.cron or "", find_zone(schedule.timeZone or ""), after.astimezone(UTC))


def list_ends(
    schedule: Schedule, after: datetime.datetime, until: datetime.datetime, most: int
) -> Iterator[datetime.datetime]:
    """The ends after one instant and not after another one, in order, `most` at most."""
    end = after
    for _ in range(most):
        found = find_next_end(schedule, end)
        if found is None or found > until:
            return
        end = found
        yield end


def parse_every(text: str) -> datetime.timedelta:
    """The duration of an ISO 8601 text. Raises `InvalidRule` unless it is a minute or more."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidRule(
            "schedule.every must be an ISO 8601 duration in weeks, days, hours, minutes and seconds, such as P14D"
        )
    try:
        every = datetime.timedelta(**{unit: int(digits) for unit, digits in match.groupdict("0").items()})
    except OverflowError as error:
        raise InvalidRule("schedule.every is too long") from error
    if every < EVERY_LEAST:
        raise InvalidRule("schedule.every is below a minute")
    return every


@lru_cache(maxsize=1_024)
def find_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises `InvalidRule`."""
    try:
        if _OF_HOSTS.fullmatch(name):
            raise ZoneInfoNotFoundError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # A name that is a directory of zones, or none that a file could have, is an OSError or a ValueError.
        raise InvalidRule(f"schedule.timeZone is no IANA time zone: {name}") from error


def _find_in_grid(
    every: datetime.timedelta, anchor: datetime.datetime, after: datetime.datetime
) -> datetime.datetime | None:
    """The first instant of a grid after another one. The grid begins at its anchor."""
    if after < anchor:
        return anchor
    try:
        return anchor + ((after - anchor) // every + 1) * every
    except OverflowError:
        return None


def _find_by_cron(text: str, zone: ZoneInfo, after: datetime.datetime) -> datetime.datetime | None:
    """The first instant of a cron expression after another one; both in UTC. None after the year 9999."""
    if len(text.split()) != 5:
        raise InvalidRule("schedule.cron must have five fields: minute, hour, day of month, month, day of week")
    try:
        # In an hour that comes twice, the first ones may lie before: cron knows them by their time on the wall only.
        ends = (local.astimezone(UTC) for local in CronSim(text, after.astimezone(zone)))
        return next((end for end in ends if end > after), None)
    except OverflowError:
        return None
    except CronSimError as error:
        if _is_cron(text, month="*") and _is_cron(text, day="1"):
            raise InvalidRule("schedule.cron never comes: none of its months has such a day") from error
        raise InvalidRule(f"schedule.cron is wrong: {error}") from error


def _is_cron(text: str, *, day: str | None = None, month: str | None = None) -> bool:
    """Whether a text of five fields is a cron expression, with another field for the day or the month."""
    minute, hour, its_day, its_month, weekday = text.split()
    try:
        CronSim(" ".join((minute, hour, day or its_day, month or its_month, weekday)), datetime.datetime(2026, 1, 1))
    except CronSimError:
        return False
    return True
