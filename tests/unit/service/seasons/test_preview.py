"""The next ends of a schedule that no season has yet."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.errors import InvalidRule
from service.seasons.preview import find_ends, to_local
from service.seasons.types import ENDS_SHOWN, ScheduleToTry

NOW = datetime.datetime(2026, 10, 20, 12, tzinfo=datetime.UTC)
WEEKLY = {"cron": "0 0 * * MON", "timeZone": "Europe/Berlin"}


def ends(schedule: dict[str, Any], opens_at: str | None = None) -> list[tuple[str, str]]:
    found = find_ends(msgspec.convert({"schedule": schedule, "opensAt": opens_at}, ScheduleToTry), NOW)
    return [(one["at"], one["local"]) for one in msgspec.json.decode(msgspec.json.encode(found))]


def test_ends_are_told_in_the_zone_of_the_schedule_also_over_a_change_of_clocks() -> None:
    assert ends(WEEKLY) == [
        ("2026-10-25T23:00:00Z", "2026-10-26T00:00:00+01:00"),
        ("2026-11-01T23:00:00Z", "2026-11-02T00:00:00+01:00"),
        ("2026-11-08T23:00:00Z", "2026-11-09T00:00:00+01:00"),
        ("2026-11-15T23:00:00Z", "2026-11-16T00:00:00+01:00"),
        ("2026-11-22T23:00:00Z", "2026-11-23T00:00:00+01:00"),
    ]
    daily = ends({"cron": "30 1 * * *", "timeZone": "America/New_York"}, "2026-10-31T00:00:00Z")
    assert daily[:2] == [
        ("2026-10-31T05:30:00Z", "2026-10-31T01:30:00-04:00"),
        ("2026-11-01T05:30:00Z", "2026-11-01T01:30:00-04:00"),
    ]
    assert daily[2] == ("2026-11-02T06:30:00Z", "2026-11-02T01:30:00-05:00")


def test_a_schedule_without_a_zone_has_the_offset_of_its_instant() -> None:
    assert ends({"endsAt": "2027-01-01T00:00:00+05:30"}) == [("2026-12-31T18:30:00Z", "2027-01-01T00:00:00+05:30")]
    grid = ends({"every": "P14D", "startsAt": "2026-10-19T00:00:00+02:00"})
    assert len(grid) == ENDS_SHOWN and grid[0] == ("2026-11-01T22:00:00Z", "2026-11-02T00:00:00+02:00")


def test_an_end_without_a_date_in_the_zone_is_told_in_utc() -> None:
    last = datetime.datetime(9999, 12, 31, 23, tzinfo=datetime.UTC)
    found = [to_local(last, datetime.timezone(datetime.timedelta(hours=hours))) for hours in (-1, 0, 1)]
    assert [one.isoformat() for one in found] == [
        "9999-12-31T22:00:00-01:00",
        "9999-12-31T23:00:00+00:00",
        "9999-12-31T23:00:00+00:00",
    ]


def test_the_first_end_comes_after_the_season_opens() -> None:
    assert ends(WEEKLY, "2026-12-01T00:00:00Z")[0][0] == "2026-12-06T23:00:00Z"
    assert ends(WEEKLY, "2020-01-01T00:00:00Z") == ends(WEEKLY)


@pytest.mark.parametrize(
    ("schedule", "opens_at", "told"),
    [
        ({"cron": "0 0 30 2 *", "timeZone": "UTC"}, None, "never comes: none of its months has such a day"),
        ({"cron": "0 0 31 4,6 *", "timeZone": "UTC"}, None, "never comes: none of its months has such a day"),
        ({"cron": "0 0 32 * *", "timeZone": "UTC"}, None, "cron is wrong: Bad day-of-month"),
        ({"cron": "0 0 1 13 *", "timeZone": "UTC"}, None, "cron is wrong: Bad month"),
        ({"cron": "0 0 * *", "timeZone": "UTC"}, None, "must have five fields"),
        ({"cron": "0 0 * * *", "timeZone": "Mars/Olympus"}, None, "no IANA time zone: Mars/Olympus"),
        ({"cron": "0 0 * * *"}, None, "cron and timeZone"),
        ({"every": "P1M", "startsAt": "2026-01-01T00:00:00Z"}, None, "must be an ISO 8601 duration"),
        ({"endsAt": "2020-01-01T00:00:00Z"}, None, "in the past"),
        ({"endsAt": "2026-12-01T00:00:00Z"}, "2026-12-02T00:00:00Z", "no end after opensAt"),
        (WEEKLY, "9999-12-31T23:59:59-12:00", "opensAt is out of range"),
        (WEEKLY, "0001-01-01T00:00:00+14:00", "opensAt is out of range"),
    ],
)
def test_a_schedule_that_never_ends_a_period_is_told_why(schedule: Any, opens_at: str | None, told: str) -> None:
    with pytest.raises(InvalidRule, match=told):
        ends(schedule, opens_at)


@given(
    st.text("0123456789*/,-LMONTUE# ", max_size=24),
    st.datetimes(timezones=st.timezones() | st.just(datetime.UTC)),
)
def test_whatever_is_tried_gives_ends_in_order_or_is_refused(cron: str, opens_at: datetime.datetime) -> None:
    schedule = {"cron": cron, "timeZone": "Pacific/Apia"}
    try:
        tried = msgspec.convert({"schedule": schedule, "opensAt": opens_at.isoformat()}, ScheduleToTry)
        found = find_ends(tried, NOW)
    except (InvalidRule, msgspec.ValidationError):
        return
    instants = [one.at for one in found]
    assert instants == sorted(set(instants)) and instants[0] > max(NOW, opens_at)
    assert [one.local for one in found] == instants
