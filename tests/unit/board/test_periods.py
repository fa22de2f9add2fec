"""The turn of a season: the periods that end and begin, and the statements that write them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from board.errors import PeriodClosed
from board.periods import (
    GRACE_MOST_S,
    TURNS_MOST,
    Steps,
    Terms,
    Turn,
    describe_end,
    end_period,
    find_end,
    find_history,
    load_terms,
    plan_turn,
    reopen_season,
    turn_season,
)
from board.schedule import Schedule
from board.season import RULED, Bounds, Column, Rule, fold_of

DAY = datetime.timedelta(days=1)
FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOON = datetime.timedelta(hours=12)
DAILY = Schedule(every="P1D", startsAt=FIRST)
ONCE = Schedule(endsAt=FIRST + DAY)


def run(steps: Steps, answers: Mapping[str, Any]) -> tuple[Any, dict[str, dict[str, Any]]]:
    """Run steps on these rows of each query: what they return, and the parameters of each query."""
    asked: dict[str, dict[str, Any]] = {}
    rows: Any = None
    while True:
        try:
            name, parameters = steps.send(rows)
        except StopIteration as stopped:
            return stopped.value, asked
        asked[name] = parameters
        rows = answers.get(name, [])


def answers(
    terms: Terms, *, ends_at: datetime.datetime | None, now: datetime.datetime, closed: bool = False, due: bool = True
) -> dict[str, Any]:
    text = msgspec.json.encode(terms).decode()
    return {
        "lock_season": [("s",)],
        "turning_season": [(FIRST, ends_at, closed, due, text, now)],
        "history": [(77,)],
    }


def test_the_ends_that_were_missed_come_in_order_and_the_next_one_stays() -> None:
    days = [FIRST + n * DAY for n in range(1, 6)]
    assert plan_turn(DAILY, days[0], days[0]) == Turn(days[:1], days[:1], days[1])
    assert plan_turn(DAILY, days[0], days[2] + NOON) == Turn(days[:3], days[:3], days[3])
    assert plan_turn(DAILY, days[0], days[2]) == Turn(days[:3], days[:3], days[3])
    assert plan_turn(DAILY, days[0], days[4], most=2) == Turn(days[:2], days[:2], days[2])


def test_one_turn_catches_up_a_thousand_ends() -> None:
    turn = plan_turn(DAILY, FIRST, FIRST + 2_000 * DAY)
    assert TURNS_MOST == len(turn.ends) == len(turn.begins) == 1_000 and turn.ends_at == FIRST + 1_000 * DAY


def test_the_last_period_is_closed() -> None:
    assert plan_turn(ONCE, FIRST + DAY, FIRST + 3 * DAY) == Turn([FIRST + DAY], [None], FIRST + DAY, closed=True)
    yearly = Schedule(every="P365D", startsAt=datetime.datetime(9998, 6, 1, tzinfo=datetime.UTC))
    assert yearly.startsAt is not None
    one, last = yearly.startsAt, yearly.startsAt + 365 * DAY
    assert plan_turn(yearly, one, last + DAY) == Turn([one, last], [one, None], last, closed=True)
    assert plan_turn(yearly, last, last) == Turn([last], [None], last, closed=True)


def test_terms_are_the_defaults_unless_a_season_has_others() -> None:
    assert load_terms(None) == Terms() == load_terms("{}")
    assert Terms().keepPeriods is None and Terms().graceS == 0 and not Terms().feeds
    terms = load_terms('{"operator":"best","order":"asc","graceS":5,"title":"Laps","bounds":{"min":1}}')
    assert terms == Terms(operator="best", order="asc", graceS=5, bounds=Bounds(min=1))
    assert terms.rule == Rule(operator="best", order="asc", bounds=Bounds(min=1))


def test_a_grace_is_a_day_at_most() -> None:
    assert datetime.timedelta(seconds=GRACE_MOST_S) == DAY


def test_a_season_with_ends_or_feeds_is_not_plain() -> None:
    assert Terms().fold == 0
    assert Terms(schedule=ONCE).fold == Terms(feeds=("other",)).fold == RULED
    best = Terms(operator="best", columns=(Column("time"),), schedule=ONCE)
    assert best.fold == fold_of(best.rule) != RULED


def test_the_first_end_is_after_the_opening() -> None:
    assert find_end(Terms(), FIRST) is None
    assert find_end(Terms(schedule=DAILY), FIRST) == FIRST + DAY
    assert find_end(Terms(schedule=DAILY, opensAt=FIRST + 3 * DAY), FIRST) == FIRST + 4 * DAY
    assert find_end(Terms(schedule=DAILY, opensAt=FIRST - 3 * DAY), FIRST) == FIRST + DAY
    assert find_end(Terms(schedule=ONCE, opensAt=FIRST + DAY), FIRST) is None


def test_the_event_of_an_end_has_both_instants_in_utc() -> None:
    berlin = datetime.timezone(datetime.timedelta(hours=1))
    assert describe_end(FIRST.astimezone(berlin), (FIRST + DAY).astimezone(berlin)) == (
        '{"startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-02T00:00:00Z"}'
    )
    assert describe_end(None, FIRST) == describe_end(FIRST, None) == ""


def test_a_season_that_is_due_is_turned_in_one_statement() -> None:
    terms = Terms(schedule=DAILY, graceS=5, columns=(Column("time", "asc"),))
    ends = [FIRST + DAY, FIRST + 2 * DAY]
    found, asked = run(turn_season("s"), answers(terms, ends_at=ends[0], now=ends[1] + NOON))
    assert found == 2
    assert asked["turn_season"] == {
        "season": "s",
        "ends": ends,
        "begins": ends,
        "data": [describe_end(FIRST, ends[0]), describe_end(*ends)],
        "history": 77,
        "grace_s": 5,
        "fold": fold_of(terms.rule),
        "columns": "<time",
        "ruled": True,
        "scheduled": True,
        "ends_at": FIRST + 3 * DAY,
        "closed": False,
    }


@pytest.mark.parametrize(
    "changed",
    [{"due": False}, {"terms": Terms()}],
    ids=["it is not due", "it has no schedule"],
)
def test_a_season_is_not_turned_where(changed: dict[str, Any]) -> None:
    given = {"terms": Terms(schedule=DAILY), "ends_at": FIRST + DAY, "now": FIRST + 2 * DAY} | changed
    found, asked = run(turn_season("s"), answers(**given))
    assert found == 0 and "turn_season" not in asked


def test_a_season_that_does_not_exist_is_left_alone() -> None:
    assert run(turn_season("s"), {}) == (0, {"lock_season": {"season": "s"}})


def test_a_period_that_is_ended_by_hand_has_no_grace_and_ends_now() -> None:
    now = FIRST + NOON
    terms = Terms(graceS=60, opensAt=FIRST + datetime.timedelta(hours=1))
    found, asked = run(end_period("s"), answers(terms, ends_at=None, now=now, due=False))
    assert found is None
    turned = asked["turn_season"]
    assert (turned["ends"], turned["begins"], turned["ends_at"], turned["grace_s"]) == ([now], [now], None, 0)
    assert turned["data"] == [describe_end(terms.opensAt, now)], "the period began when the season opened"
    assert (turned["fold"], turned["ruled"], turned["scheduled"], turned["closed"]) == (0, False, False, False)


def test_a_period_that_is_ended_before_the_season_opens_was_open_for_no_time() -> None:
    now = FIRST + NOON
    terms = Terms(opensAt=FIRST + DAY)
    _, asked = run(end_period("s"), answers(terms, ends_at=None, now=now, due=False))
    assert asked["turn_season"]["data"] == [describe_end(now, now)]
    assert asked["turn_season"]["ruled"], "the statement of plain seasons knows no opening"


@pytest.mark.parametrize("opens", [FIRST + NOON, FIRST])
def test_a_season_that_has_opened_is_plain(opens: datetime.datetime) -> None:
    _, asked = run(end_period("s"), answers(Terms(opensAt=opens), ends_at=None, now=FIRST + NOON, due=False))
    assert not asked["turn_season"]["ruled"]


def test_a_bounded_season_is_not_plain() -> None:
    terms = Terms(bounds=Bounds(max=9))
    _, asked = run(end_period("s"), answers(terms, ends_at=None, now=FIRST, due=False))
    assert asked["turn_season"]["ruled"] and asked["turn_season"]["fold"] == 0


def test_a_closed_season_has_no_period_to_end() -> None:
    given = answers(Terms(schedule=ONCE), ends_at=FIRST + DAY, now=FIRST + 2 * DAY, closed=True, due=False)
    with pytest.raises(PeriodClosed, match="another schedule first"):
        run(end_period("s"), given)


def test_a_closed_season_begins_again_without_an_end_before_it() -> None:
    terms = Terms(schedule=DAILY)
    now = FIRST + NOON
    _, asked = run(reopen_season("s", terms), answers(terms, ends_at=FIRST, now=now, closed=True, due=False))
    turned = asked["turn_season"]
    assert (turned["ends"], turned["begins"], turned["ends_at"]) == ([None], [now], FIRST + DAY)
    assert turned["data"] == [""] and turned["fold"] == RULED and turned["ruled"] and turned["scheduled"]


def test_the_first_event_begins_a_history() -> None:
    assert run(find_history(), {"history": [(77,)]}) == (77, {"history": {}})
    steps = find_history()
    assert steps.send(None) == ("history", {})
    assert steps.send([]) == ("begin_history", {})
    assert steps.send([]) == ("history", {})
    with pytest.raises(StopIteration) as stopped:
        steps.send([(78,)])
    assert stopped.value.value == 78


def test_a_history_that_another_one_takes_back_is_begun_twice() -> None:
    steps = find_history()
    asked = [steps.send(None), *(steps.send([]) for _ in range(4))]
    assert [name for name, _ in asked] == ["history", "begin_history", "history", "begin_history", "history"]
    with pytest.raises(ValueError, match="not enough values"):
        steps.send([])


@pytest.mark.parametrize(("value", "member"), [(Terms(), "graceS"), (Turn([], [], None), "closed")])
def test_terms_and_turns_never_change(value: Any, member: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, member, getattr(value, member))
