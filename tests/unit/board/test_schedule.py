"""Schedules: the ends of periods through changes of clocks, on grids, and what is refused."""

from __future__ import annotations

import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.errors import InvalidRule
from board.schedule import Schedule, check_schedule, find_next_end, list_ends

UTC: Final = datetime.UTC
MINUTE: Final = datetime.timedelta(minutes=1)
DAY: Final = datetime.timedelta(days=1)

CHANGES: Final = {
    # Zone: days on which its clocks go forward, and back.
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "America/Santiago": ("2026-09-06", "2026-04-05"),
    "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),
    "Europe/London": ("2026-03-29", "2026-10-25"),
}


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def schedule(**members: Any) -> Schedule:
    return msgspec.convert(members, Schedule)


def cron(text: str, zone: str = "UTC") -> Schedule:
    return schedule(cron=text, timeZone=zone)


def expected(zone: str, hour: int, minute: int, first: datetime.datetime, days: int) -> list[datetime.datetime]:
    """The instants of a time of day, found by looking at the clock on the wall each minute.

    It is the first minute of each date at which the clock shows that time or a later one.
    """
    found: dict[datetime.date, datetime.datetime] = {}
    for n in range(days * 24 * 60):
        local = (first + n * MINUTE).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if (local.hour, local.minute) >= (hour, minute):
            found.setdefault(local.date(), first + n * MINUTE)
    return list(found.values())


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("back", [False, True], ids=["forward", "back"])
def test_each_day_ends_once_at_its_local_time(zone: str, back: bool) -> None:
    """Times in the hours around the change, those among them that the day leaves out, or has twice."""
    change = at(CHANGES[zone][back]).replace(tzinfo=ZoneInfo(zone))
    first = change.astimezone(UTC) - 2 * DAY
    for hour, minute in ((0, 0), (0, 30), (1, 0), (1, 30), (1, 45), (2, 0), (2, 15), (2, 30), (3, 0), (23, 30)):
        ends = expected(zone, hour, minute, first, 4)
        # The first date was under way, and so was the last one.
        until = first + 4 * DAY - MINUTE
        found = list(list_ends(cron(f"{minute} {hour} * * *", zone), ends[0], until, 10))
        assert found == [end for end in ends[1:] if end <= until], (hour, minute)
        assert len({end.astimezone(ZoneInfo(zone)).date() for end in found}) == len(found) >= 2


@pytest.mark.parametrize(
    ("zone", "text", "instant"),
    [
        ("Europe/Berlin", "30 2 29 3 *", "2026-03-29T01:00:00Z"),  # left out: at the change
        ("Europe/Berlin", "30 2 25 10 *", "2026-10-25T00:30:00Z"),  # twice: the first
        ("America/New_York", "30 2 8 3 *", "2026-03-08T07:00:00Z"),
        ("America/New_York", "30 1 1 11 *", "2026-11-01T05:30:00Z"),
        ("America/Santiago", "0 0 6 9 *", "2026-09-06T04:00:00Z"),  # there is no midnight
        ("America/Santiago", "30 23 4 4 *", "2026-04-05T02:30:00Z"),
        ("Australia/Lord_Howe", "15 2 4 10 *", "2026-10-03T15:30:00Z"),  # half an hour
        ("Australia/Lord_Howe", "45 1 5 4 *", "2026-04-04T14:45:00Z"),
        ("Asia/Tokyo", "0 5 * * MON", "2026-01-04T20:00:00Z"),
        ("UTC", "0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("UTC", "0 0 L * *", "2026-01-31T00:00:00Z"),
    ],
)
def test_cron_ends_at_these_instants(zone: str, text: str, instant: str) -> None:
    assert find_next_end(cron(text, zone), at("2026-01-01T12:00:00Z")) == at(instant)


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT-14", "Etc/GMT+12", "Europe/Berlin"])
@pytest.mark.parametrize("text", ["0 0 1 1 *", "0 0 31 12 *", "*/30 * * * *", "30 2 * * *", "0 0 29 2 *"])
@pytest.mark.parametrize("after", ["9996-03-01T00:00:00Z", "9999-06-01T00:00:00Z", "9999-12-31T20:50:00Z"])
def test_cron_has_no_end_after_the_calendar(text: str, zone: str, after: str) -> None:
    """Dates go until the end of 9999: what would come later never comes."""
    schedule = Schedule(cron=text, timeZone=zone)
    last = max(at(after), at("9999-12-31T09:50:00Z")) if text.startswith("*") else at(after)
    ends = [end for end in list_ends(schedule, last, datetime.datetime.max.replace(tzinfo=UTC), 2_000)]
    assert len(ends) < 2_000 and ends == sorted({*ends})


def test_in_an_hour_that_comes_twice_an_end_is_never_before_the_instant_asked_for() -> None:
    second = at("2026-10-25T01:10:00Z")  # 02:10 in Berlin, for the second time
    assert find_next_end(cron("30 2 * * *", "Europe/Berlin"), second) == at("2026-10-26T01:30:00Z")
    each = cron("*/15 * * * *", "Europe/Berlin")
    assert len(list(list_ends(each, at("2026-10-25T00:00:00Z"), at("2026-10-25T02:00:00Z"), 99))) == 8


@given(
    text=st.sampled_from(("0 0 * * *", "30 2 * * MON", "*/7 * * * *", "15 */3 * * *", "0 0 1 * *", "45 1 * * *")),
    zone=st.sampled_from(tuple(CHANGES)),
    after=st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_no_end_lies_between_an_instant_and_its_next_end(text: str, zone: str, after: datetime.datetime) -> None:
    """Whoever asks from any instant before an end, finds that end: hosts agree, whenever they ask."""
    end = find_next_end(cron(text, zone), after)
    assert end is not None and end > after
    assert find_next_end(cron(text, zone), after + (end - after) / 2) == end
    following = find_next_end(cron(text, zone), end)
    assert following is not None and following > end


@pytest.mark.parametrize(
    ("every", "anchor", "after", "instant"),
    [
        ("P14D", "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z", "2026-01-19T00:00:00Z"),
        ("P2W", "2026-01-05T00:00:00Z", "2026-01-19T00:00:00Z", "2026-02-02T00:00:00Z"),
        ("P3D", "2020-01-01T06:00:00+02:00", "2026-01-01T00:00:00Z", "2026-01-02T04:00:00Z"),
        ("PT1M", "2026-01-01T00:00:30Z", "2026-01-01T00:00:30.000001Z", "2026-01-01T00:01:30Z"),
        ("P1D", "2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),  # the grid begins later
        ("P1D", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),  # its anchor has come
        ("P1W2DT3H4M5S", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-10T03:04:05Z"),
    ],
)
def test_a_grid_ends_at_these_instants(every: str, anchor: str, after: str, instant: str) -> None:
    assert find_next_end(schedule(every=every, startsAt=anchor), at(after)) == at(instant)


@given(
    every=st.integers(60, 10**7),
    anchor=st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2030, 1, 1), timezones=st.just(UTC)),
    after=st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_a_grid_has_equal_steps(every: int, anchor: datetime.datetime, after: datetime.datetime) -> None:
    step = datetime.timedelta(seconds=every)
    end = find_next_end(schedule(every=f"PT{every}S", startsAt=anchor.isoformat()), after)
    assert end is not None and end > after and (end - anchor) % step == datetime.timedelta(0)
    assert end == anchor or end - after <= step


def test_a_fixed_end_comes_once() -> None:
    fixed = schedule(endsAt="2026-06-01T02:00:00+02:00")
    assert find_next_end(fixed, at("2026-05-01T00:00:00Z")) == at("2026-06-01T00:00:00Z")
    assert find_next_end(fixed, at("2026-06-01T00:00:00Z")) is None
    assert find_next_end(fixed, at("2026-06-01T00:00:01Z")) is None


def test_missed_ends_come_in_order_and_bounded() -> None:
    daily = cron("0 0 * * *")
    first = at("2026-01-01T00:00:00Z")
    assert list(list_ends(daily, first, first + 21 * DAY, 1_000)) == [first + n * DAY for n in range(1, 22)]
    assert list(list_ends(daily, first, first + 21 * DAY, 2)) == [first + DAY, first + 2 * DAY]
    assert list(list_ends(daily, first, first + DAY - MINUTE, 2)) == []


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({}, "it has nothing$"),
        ({"cron": "0 0 * * *"}, "it has cron$"),
        ({"timeZone": "UTC"}, "it has timeZone$"),
        ({"every": "P1D"}, "it has every$"),
        ({"cron": "0 0 * * *", "timeZone": "UTC", "endsAt": "2027-01-01T00:00:00Z"}, "has cron, endsAt, timeZone$"),
        ({"cron": "0 0 * * *", "timeZone": "UTC", "every": "P1D", "startsAt": "2026-01-01T00:00:00Z"}, "every"),
        ({"cron": "0 0 30 2 *", "timeZone": "UTC"}, "cron never comes: none of its months has such a day$"),
        ({"cron": "0 0 31 4,6 *", "timeZone": "Europe/Berlin"}, "cron never comes: none of its months"),
        ({"cron": "0 0 32 * *", "timeZone": "UTC"}, "cron is wrong: Bad day-of-month"),
        ({"cron": "0 0 1 13 *", "timeZone": "UTC"}, "cron is wrong: Bad month"),
        ({"cron": "0 0 30 2 8", "timeZone": "UTC"}, "cron is wrong: Bad day-of-week"),
        ({"cron": "0 0 * *", "timeZone": "UTC"}, "five fields"),
        ({"cron": "* * * * * *", "timeZone": "UTC"}, "five fields"),  # each second
        ({"cron": "60 0 * * *", "timeZone": "UTC"}, "cron"),
        ({"cron": "@daily", "timeZone": "UTC"}, "five fields"),
        ({"cron": "0 0 * * *", "timeZone": "Mars/Olympus"}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "Europe"}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "../UTC"}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "/etc/localtime"}, "timeZone"),
        # Files of a host, which another one may have otherwise, or with leap seconds.
        *(
            ({"cron": "0 0 * * *", "timeZone": name}, "timeZone")
            for name in ("localtime", "posixrules", "Factory", "posix/UTC", "right/UTC")
        ),
        ({"cron": "0 0 * * *", "timeZone": ""}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "a\ud800"}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "a\0"}, "timeZone"),
        ({"every": "PT59S", "startsAt": "2026-01-01T00:00:00Z"}, "minute"),
        ({"every": "-P1D", "startsAt": "2026-01-01T00:00:00Z"}, "minute"),
        ({"every": "P0D", "startsAt": "2026-01-01T00:00:00Z"}, "minute"),
        ({"every": "P1M", "startsAt": "2026-01-01T00:00:00Z"}, "every"),
        ({"every": "two weeks", "startsAt": "2026-01-01T00:00:00Z"}, "every"),
        ({"every": "PT", "startsAt": "2026-01-01T00:00:00Z"}, "every"),
        ({"every": "P", "startsAt": "2026-01-01T00:00:00Z"}, "every"),
        ({"every": "P999999999D", "startsAt": "2026-01-01T00:00:00Z"}, "every"),
        ({"every": "P999999999W", "startsAt": "2026-01-01T00:00:00Z"}, "too long"),
        ({"every": "P99999999999D", "startsAt": "2026-01-01T00:00:00Z"}, "every"),
        ({"every": "P9999999D", "startsAt": "2026-01-01T00:00:00Z"}, "every"),
        ({"endsAt": "2025-12-31T23:59:59Z"}, "past"),
        ({"endsAt": "2026-01-01T00:00:00Z"}, "past"),
        ({"every": "P1D", "startsAt": "0001-12-31T00:00:00Z"}, "startsAt is out of range"),
        ({"endsAt": "9999-01-01T00:00:00Z"}, "endsAt is out of range"),
        ({"endsAt": "0001-01-01T00:00:00+14:00"}, "past"),
        ({"endsAt": "9999-12-31T23:59:59-14:00"}, "endsAt"),
        ({"every": "P1D", "startsAt": "9999-12-31T23:59:59-14:00"}, "startsAt"),
    ],
)
def test_what_is_no_schedule_is_refused_by_name(members: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRule, match=named):
        check_schedule(msgspec.convert(members, Schedule), at("2026-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    "members",
    [
        {"cron": "0 0 * * MON", "timeZone": "Europe/Berlin"},
        {"cron": "0 0 29 2 *", "timeZone": "UTC"},
        {"every": "P2W", "startsAt": "2020-01-01T00:00:00Z"},
        {"endsAt": "2026-01-01T00:00:01Z"},
        {"endsAt": "9998-12-31T23:59:59Z"},
        {"every": "PT1M", "startsAt": "0002-01-01T00:00:00Z"},
        {"every": "PT60S", "startsAt": "2020-01-01T00:00:00Z"},
        {"cron": "0 0 * * " + ",".join(["MON"] * 23), "timeZone": "UTC"},
    ],
)
def test_these_are_schedules(members: dict[str, Any]) -> None:
    check_schedule(msgspec.convert(members, Schedule), at("2026-01-01T00:00:00Z"))
    assert msgspec.to_builtins(msgspec.convert(members, Schedule)) == members, (
        "an answer has the members that were given"
    )


@pytest.mark.parametrize(
    ("member", "longest"), [("cron", 100), ("timeZone", 64), ("every", 64)], ids=["cron", "timeZone", "every"]
)
def test_texts_of_a_schedule_have_a_length(member: str, longest: int) -> None:
    assert getattr(schedule(**{member: "x" * longest}), member) == "x" * longest
    with pytest.raises(msgspec.ValidationError, match=f"length <= {longest}"):
        schedule(**{member: "x" * (longest + 1)})


def test_a_schedule_has_no_other_members_and_no_local_times() -> None:
    for members in ({"until": "2027-01-01T00:00:00Z"}, {"endsAt": "2027-01-01T00:00:00"}):
        with pytest.raises(msgspec.ValidationError):
            schedule(**members)
    fixed = schedule(endsAt="2026-01-01T00:00:00Z")
    with pytest.raises(AttributeError):
        fixed.endsAt = None  # type: ignore[misc]
