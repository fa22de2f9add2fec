"""A model of feeds: whatever seasons feed which ones, rows, ledger and answers are those of a naive ledger."""

from __future__ import annotations

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.http import JSON, Http, base
from support.periods import GRID, turn_all
from support.processes import serving
from support.world import World

from board.columns import read_columns, unpack_columns
from board.season import INT64_MAX, INT64_MIN

Columns = dict[str, int]
Row = tuple[int, int, Any, Columns]
"""Score as it was submitted; order of the run that counts; its time, for `last`; the season's columns of it."""

NAMES: Final = "abcde"
OPERATORS: Final = {"a": "sum", "b": "best", "c": "last", "d": "best", "e": "sum"}
ORDERS: Final = {"a": "desc", "b": "desc", "c": "asc", "d": "asc", "e": "asc"}
SIGNS: Final = {"desc": 1, "asc": -1}
COLUMNS: Final = {
    **{"a": {}, "b": {"p": "desc", "q": "asc"}, "c": {"q": "asc", "p": "asc"}},
    **{"d": {"p": "desc"}, "e": {"q": "desc", "p": "asc"}},
}
"""The orders of each season's columns."""
GRACE_S: Final = 3_600

names = st.sampled_from(NAMES)
users = st.sampled_from(["x", "y", "z"])
numbers = st.integers(-9, 9).filter(bool) | st.sampled_from([INT64_MAX, INT64_MIN, 2**62, -(2**62)])
values = st.integers(-1, 1) | st.sampled_from([INT64_MAX, INT64_MIN])
runs = st.tuples(numbers, st.fixed_dictionaries({"p": values, "q": values}))
"""A number, and values of all columns that there are."""
batches = st.lists(st.tuples(users, runs), min_size=1, max_size=7)


class Season(msgspec.Struct):
    """A season as the model has it. `periods` have the rows of each player; `ends` when each but the last one ended."""

    feeds: list[str] = []
    low: int = INT64_MIN
    high: int = INT64_MAX
    grace: bool = False
    periods: list[dict[str, Row]] = msgspec.field(default_factory=lambda: [{}])
    ends: list[int] = []


Run = tuple[int, Columns]


def make_body(name: str, user: str, run: Run) -> dict[str, Any]:
    """A submission to a season, with the columns that it has."""
    number, columns = run
    member = "delta" if OPERATORS[name] == "sum" else "score"
    return {"userId": user, member: number, "columns": {column: columns[column] for column in COLUMNS[name]}}


def rate(name: str, row: Row) -> list[int]:
    """The greater, the better."""
    return [SIGNS[ORDERS[name]] * row[0]] + [SIGNS[order] * row[3][column] for column, order in COLUMNS[name].items()]


class Model(RuleBasedStateMachine):
    """Five seasons; every submission is judged here as its docs tell."""

    world: World
    http: Http
    count = itertools.count()

    @initialize()
    def begin(self) -> None:
        world = self.world
        world.forget_submissions()
        self.seasons = {name: Season() for name in NAMES}
        self.order = 0
        self.lines: dict[tuple[str, int], int] = defaultdict(int)
        self.answers: dict[str, tuple[str, dict[str, Any], Any]] = {}
        for name in NAMES:
            self.define(name)

    def define(self, name: str) -> bool:
        season = self.seasons[name]
        members = {
            "operator": OPERATORS[name],
            "order": ORDERS[name],
            "columns": [{"name": column, "order": order} for column, order in COLUMNS[name].items()],
            "feeds": season.feeds,
            "bounds": {"min": season.low, "max": season.high},
            "schedule": GRID,
            "graceS": GRACE_S if season.grace else 0,
        }
        answer = self.http.ask("PUT", base(name), json.dumps(members).encode(), JSON)
        assert answer.status in (200, 201, 400), answer.body
        return answer.status != 400

    def reach(self, name: str) -> list[str]:
        found: list[str] = []
        ahead = list(self.seasons[name].feeds)
        while ahead:
            one = ahead.pop(0)
            if one not in found:
                found.append(one)
                ahead += self.seasons[one].feeds
        return found

    @rule(name=names, feeds=st.lists(names, max_size=4, unique=True))
    def set_feeds(self, name: str, feeds: list[str]) -> None:
        before = self.seasons[name].feeds
        self.seasons[name].feeds = feeds
        is_good = name not in self.reach(name)
        assert self.define(name) is is_good
        if not is_good:
            self.seasons[name].feeds = before

    @rule(name=names, low=st.sampled_from([INT64_MIN, -5]), high=st.sampled_from([INT64_MAX, 5]), grace=st.booleans())
    def set_rule(self, name: str, low: int, high: int, grace: bool) -> None:
        season = self.seasons[name]
        season.low, season.high, season.grace = low, high, grace
        assert self.define(name)

    @rule(name=names)
    def end(self, name: str) -> None:
        """The period ends; nothing turns it but a submission, which may come to a season that feeds this one."""
        world, season = self.world, self.seasons[name]
        turn_all(world)
        world.execute(f"UPDATE season SET ends_at = clock_timestamp() WHERE season_id = '{name}'")
        (end,) = world.rows("SELECT ends_at FROM season WHERE season_id = %s", name)[0]
        season.periods.append({})
        season.ends.append(end)
        if next(self.count) % 2:
            turn_all(world)

    def place(self, name: str, achieved: Any) -> int | None:
        """The period that a submission counts in, from 0; None: it is refused."""
        season = self.seasons[name]
        if achieved is None:
            return len(season.periods) - 1
        nth = sum(end <= achieved for end in season.ends)
        return nth if nth == len(season.ends) or self.takes_late(name, nth) else None

    def takes_late(self, name: str, nth: int) -> bool:
        rows = self.world.rows(
            "SELECT late_until > clock_timestamp() FROM period WHERE season_id = %s AND number = %s", name, nth + 1
        )
        return bool(rows and rows[0][0])

    def count_in(
        self, name: str, user: str, number: int, columns: Columns, at: Any, achieved: Any
    ) -> str | dict[str, Any]:
        """Count a submission in one season: the members of its answer, or the code of the refusal."""
        season = self.seasons[name]
        nth = self.place(name, achieved)
        if nth is None:
            return "period-closed"
        if COLUMNS[name] and COLUMNS[name].keys() != columns.keys():
            return "invalid-columns"
        if not season.low <= number <= season.high:
            return "score-out-of-bounds"
        rows = season.periods[nth]
        before = rows.get(user)
        mine = (number, self.order, achieved or at, columns if COLUMNS[name] else {})
        operator = OPERATORS[name]
        if before is None:
            after = mine
        elif operator == "sum":
            after = (before[0] + number, *mine[1:])
        elif operator == "best":
            after = mine if rate(name, mine) > rate(name, before) else before
        else:
            after = max(before, mine, key=lambda row: (row[2], row[1]))
        if not INT64_MIN <= after[0] <= INT64_MAX:
            return "score-out-of-range"
        rows[user] = after
        self.lines[name, nth] += 1
        answer: dict[str, Any] = {"score": after[0], "period": nth + 1}
        if operator != "sum":
            improved = before is None or rate(name, after) > rate(name, before)
            answer |= {"previousScore": None if before is None else before[0], "improved": improved}
        return answer

    def expect(self, name: str, user: str, number: int, columns: Columns, achieved: Any = None) -> str | dict[str, Any]:
        self.order += 1
        # Later than all that has been: what has no time was achieved when it was accepted.
        at = self.world.value("SELECT clock_timestamp()")
        answer = self.count_in(name, user, number, columns, at, achieved)
        if isinstance(answer, str):
            return answer
        fed = {one: self.count_in(one, user, number, columns, at, achieved) for one in self.reach(name)}
        skipped = [{"seasonId": one, "code": why} for one, why in sorted(fed.items()) if isinstance(why, str)]
        return answer | ({"skipped": skipped} if skipped else {})

    def check(self, told: dict[str, Any], expected: str | dict[str, Any]) -> None:
        if isinstance(expected, str):
            assert told["code"] == expected, (told, expected)
        else:
            more = {"seasonId", "userId", "queued", "version", "status"}
            assert {name: value for name, value in told.items() if name not in more} == expected

    @rule(name=names, user=users, run=runs, keyed=st.booleans())
    def submit(self, name: str, user: str, run: Run, keyed: bool) -> None:
        body = make_body(name, user, run)
        if keyed:
            body["submissionId"] = f"k{next(self.count)}"
        expected = self.expect(name, user, run[0], body["columns"])
        answer = self.http.post_raw(name, json.dumps(body).encode())
        self.check(answer.json, expected)
        if keyed and answer.status == 202:
            self.answers[body["submissionId"]] = (name, body, answer.json)

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        if self.answers:
            name, body, first = self.answers[data.draw(st.sampled_from(sorted(self.answers)))]
            assert self.http.post_raw(name, json.dumps(body).encode()).json == first

    @rule(name=names, user=users, run=runs, data=st.data())
    def submit_late(self, name: str, user: str, run: Run, data: st.DataObject) -> None:
        """Achieved just before or after some end, or now."""
        ends = sorted(end for season in self.seasons.values() for end in season.ends)
        if ends:
            achieved = data.draw(st.sampled_from(ends)) + timedelta(microseconds=data.draw(st.integers(-1, 1)))
            turn_all(self.world)
            body = make_body(name, user, run) | {"achievedAt": achieved.isoformat()}
            expected = self.expect(name, user, run[0], body["columns"], achieved)
            self.check(self.http.post_raw(name, json.dumps(body).encode()).json, expected)

    @rule(name=names, batch=batches)
    def submit_batch(self, name: str, batch: list[tuple[str, Run]]) -> None:
        """One statement, unless sums are near the edge: then each player's numbers are judged one by one."""
        if any(abs(number) > 9 for _, (number, _) in batch) and len({user for user, _ in batch}) < len(batch):
            batch = list({user: (user, run) for user, run in batch}.values())
        items = [make_body(name, user, run) for user, run in batch]
        expected = [self.expect(name, user, run[0], make_body(name, user, run)["columns"]) for user, run in batch]
        body = json.dumps({"submissions": items}).encode()
        answer = self.http.ask("POST", f"{base(name)}/scores/batch", body, JSON)
        for told, wanted in zip(answer.json["results"], expected, strict=True):
            self.check(told, wanted)

    def teardown(self) -> None:
        if not hasattr(self, "lines"):
            return
        rows = self.world.rows(
            "SELECT season_id, number, user_id, CASE WHEN period_id >> 56 & 1 = 1 THEN ~score ELSE score END, "
            "period.columns, columns_of(period_id, score.columns) FROM score JOIN period USING (period_id)"
        )
        stored: dict[tuple[str, int], dict[str, tuple[int, Columns]]] = defaultdict(dict)
        for name, number, user, score, named, packed in rows:
            stored[name, number - 1][user] = score, unpack_columns(read_columns(named), packed or b"")
        for name, season in self.seasons.items():
            for nth, period in enumerate(season.periods):
                assert stored[name, nth] == {user: (row[0], row[3]) for user, row in period.items()}, (name, nth)
        lines = self.world.rows(
            "SELECT season_id, number, count(*) FROM ledger JOIN period USING (period_id) GROUP BY season_id, number"
        )
        assert {(name, number - 1): n for name, number, n in lines} == dict(self.lines)


@pytest.fixture
def served(world: World) -> Iterator[Http]:
    with serving(world) as api, api.client() as http:
        yield http


@pytest.mark.walk
def test_whatever_feeds_whatever_the_ledger_is_the_naive_one(world: World, served: Http) -> None:
    class Here(Model):
        pass

    Here.world, Here.http = world, served
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", "10")),
            stateful_step_count=int(os.environ.get("MODEL_STEPS", "25")),
            deadline=None,
            phases=(Phase.generate, *((Phase.shrink,) if os.environ.get("MODEL_SHRINK") else ())),
            suppress_health_check=list(HealthCheck),
        ),
    )
