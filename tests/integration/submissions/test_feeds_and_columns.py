"""Feeds, named times and periods, in seasons with columns."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base
from support.periods import GRID, end_now, keeper_of, patch, put, turn_all
from support.processes import Api, serving
from support.waiting import eventually
from support.world import World

from service.submissions.columns import ColumnMemory
from service.submissions.item import Extras, Item
from service.submissions.statements import MISFIT, WRITTEN, Writer

TIME = {"name": "time", "order": "asc"}
MOVES = {"name": "moves"}


@pytest.fixture
def lone(world: World) -> Any:
    """The API without relays, and without a keeper but that of the test."""
    with serving(world) as api, api.client() as client:
        yield client


def send(http: Http, season: str, user: str, score: int, key: str | None = None, **more: Any) -> Answer:
    headers = JSON if key is None else {**JSON, "Idempotency-Key": key}
    return http.post_raw(season, json.dumps({"userId": user, "score": score, **more}).encode(), headers)


def run_of(http: Http, season: str, user: str) -> tuple[int, dict[str, int] | None] | None:
    """What a board shows of a player."""
    shown = http.rank(season, user).json
    return (shown["score"], shown.get("columns")) if "score" in shown else None


def clock(world: World) -> str:
    at = world.value("SELECT clock_timestamp()")
    return str(at.isoformat())


def top(http: Http, period: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = http.get(f"{base('s')}/leaderboard/top?period={period}").json["items"]
    return items


def test_fed_seasons_take_the_columns_that_are_theirs_by_name(http: Http, season: str, api: Api) -> None:
    rules: dict[str, Any] = {
        "same": {"operator": "best", "columns": [TIME, MOVES]},
        "turned": {
            "operator": "best",
            "order": "asc",
            "columns": [{"name": "moves", "order": "asc"}, {"name": "time"}],
        },
        "sum": {"columns": [MOVES, TIME]},
        "bare": {"operator": "best"},
        "fewer": {"operator": "best", "columns": [TIME]},
        "more": {"operator": "best", "columns": [TIME, MOVES, {"name": "stars"}]},
        "others": {"operator": "best", "columns": [TIME, {"name": "Moves"}]},
    }
    names = {name: f"{season} {name}" for name in rules}
    for name, members in rules.items():
        assert put(http, names[name], **members).status == 201
    put(http, season, operator="best", columns=[TIME, MOVES], feeds=[*names.values()])
    skipped = [{"seasonId": names[name], "code": "invalid-columns"} for name in ("fewer", "more", "others")]
    first = send(http, season, "ada", 5, "k", columns={"time": 30, "moves": 7})
    assert (first.status, first.json["skipped"]) == (202, skipped)
    for time, moves in ((30, 6), (20, 9), (40, -1)):
        assert send(http, season, "ada", 5, columns={"moves": moves, "time": time}).json["skipped"] == skipped
    assert send(http, season, "ada", 5, "k", columns={"moves": 7, "time": 30}).json == first.json
    shown = {
        "same": (5, {"time": 20, "moves": 9}),
        "turned": (5, {"moves": -1, "time": 40}),
        "sum": (20, {"moves": -1, "time": 40}),
        "bare": (5, None),
        "fewer": None,
        "more": None,
        "others": None,
    }
    for name, run in shown.items():
        eventually(lambda name=name, run=run: run_of(http, names[name], "ada") == run)
    world = api.world
    told = "SELECT substr(run, 2), l.submission FROM ledger l JOIN season USING (period_id) WHERE season_id = %s"
    rows = world.rows(told + " ORDER BY l.submission", names["turned"])
    ((columns,),) = world.rows(
        "SELECT columns_of(period_id, score.columns) FROM score JOIN season USING (period_id) WHERE season_id = %s",
        names["turned"],
    )
    assert [run for run, _ in rows][-1] == columns and len(rows) == 4, "the ledger has them in the fed season's order"
    assert {run for run, _ in world.rows(told, names["bare"])} == {None}
    (kept,) = world.rows(
        "SELECT count(*), count(DISTINCT submission) FROM ledger JOIN season USING (period_id) "
        "WHERE season_id = ANY (%s)",
        [season, *names.values()],
    )
    assert kept == (5 * 4, 4)


def test_a_fed_season_with_columns_is_skipped_by_a_submission_without(http: Http, season: str) -> None:
    fed = f"{season} fed"
    put(http, fed, operator="best", columns=[TIME])
    put(http, season, operator="best", feeds=[fed])
    assert send(http, season, "ada", 5).json["skipped"] == [{"seasonId": fed, "code": "invalid-columns"}]
    answer = send(http, season, "ada", 6, columns={"time": 1})
    assert (answer.status, answer.json["code"]) == (400, "invalid-columns"), "its own season has none"
    eventually(lambda: run_of(http, season, "ada") == (5, None))
    assert run_of(http, fed, "ada") is None
    patch(http, fed, columns=[])
    assert "skipped" not in send(http, season, "ada", 4).json
    eventually(lambda: run_of(http, fed, "ada") == (4, None))


def test_one_statement_writes_submissions_with_columns_and_ones_that_feed(world: World) -> None:
    world.define("columns", operator="best", columns=[TIME, MOVES])
    world.define("fed", operator="last", columns=[MOVES, TIME])
    world.define("feeds", operator="best", columns=[{"name": "moves", "order": "asc"}, TIME], feeds=["fed"])
    world.define("plain")
    memory = ColumnMemory()
    memory.learn("columns", "<time>moves")
    memory.learn("feeds", "<moves<time")

    async def write() -> list[tuple[int, Any]]:
        writer = await Writer.connect(world.settings.database_url, 30.0, columns=memory)
        both = (("moves", 3), ("time", 50))
        items = []
        for season, columns in (
            ("columns", both),
            ("feeds", both),
            ("plain", ()),
            ("feeds", ()),
            ("columns", both[1:]),
        ):
            item = Item(season, "ada", 5, asyncio.get_running_loop().create_future(), 0.0)
            item.by_rule = True
            item.scored = season != "plain"
            item.full = season == "feeds"
            item.extras = Extras(columns=columns)
            items.append(item)
        try:
            return await writer.submit(items)
        finally:
            await writer.close()

    answers = asyncio.run(write())
    assert [status for status, _ in answers] == [WRITTEN, WRITTEN, WRITTEN, MISFIT, MISFIT]
    assert [figures[-1] for _, figures in answers] == [None] * 5, "nothing was skipped"
    rows = world.rows(
        "SELECT season_id, score, column_at(c, 0), column_at(c, 1) FROM score JOIN season USING (period_id) "
        "CROSS JOIN columns_of(period_id, score.columns) AS c ORDER BY season_id"
    )
    least = -(2**63)
    assert rows == [("columns", 5, ~50, 3), ("fed", 5, 3, ~50), ("feeds", 5, ~3, ~50), ("plain", 5, least, least)]


def test_the_last_run_shows_its_columns_whenever_it_comes(lone: Http, world: World) -> None:
    put(lone, "s", operator="last", columns=[TIME])
    times = [clock(world) for _ in range(4)]
    for nth, score, shown in ((2, 20, 20), (0, 90, 20), (1, 30, 20), (3, 5, 5)):
        answer = send(lone, "s", "ada", score, achievedAt=times[nth], columns={"time": score * 10}).json
        assert (answer["score"], answer["improved"]) == (shown, score == shown and nth == 2)
        (row,) = world.rows("SELECT score, column_at(columns, 0), reached < 0 FROM score")
        assert row == (shown, ~(shown * 10), True)
    batch = [
        {"userId": "bob", "score": nth, "achievedAt": times[nth], "columns": {"time": nth}} for nth in (1, 3, 0, 2)
    ]
    body = json.dumps({"submissions": batch}).encode()
    results = lone.ask("POST", f"{base('s')}/scores/batch", body, JSON).json["results"]
    assert [one["score"] for one in results] == [1, 3, 3, 3]
    assert world.rows("SELECT score, column_at(columns, 0) FROM score WHERE user_id = 'bob'") == [(3, ~3)]


def test_late_runs_have_the_columns_of_their_period(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule=GRID, graceS=3_600, columns=[TIME, MOVES])
    for user, time in (("a", 30), ("b", 20)):
        assert send(lone, "s", user, 9, columns={"time": time, "moves": 0}).json["period"] == 1
    end_now(world, "s")
    assert turn_all(world) == 1
    patch(lone, "s", columns=[{"name": "stars"}])
    assert send(lone, "s", "a", 9, columns={"stars": 3}).json["period"] == 2
    keeper = keeper_of(world)
    keeper.close_periods(world.db)
    for time, improved in ((25, True), (26, False), (10, True)):
        late = send(lone, "s", "a", 9, period=1, columns={"moves": 0, "time": time}).json
        assert (late["period"], late["improved"]) == (1, improved)
    assert send(lone, "s", "a", 9, period=1, columns={"stars": 3}).json["code"] == "invalid-columns"
    assert send(lone, "s", "c", 9, period=1, columns={"moves": 1, "time": 10}).json["period"] == 1
    assert send(lone, "s", "b", 9, columns={"stars": 4}).json["period"] == 2
    expected = [
        {"rank": 1, "userId": "c", "score": 9, "columns": {"time": 10, "moves": 1}},
        {"rank": 2, "userId": "a", "score": 9, "columns": {"time": 10, "moves": 0}},
        {"rank": 3, "userId": "b", "score": 9, "columns": {"time": 20, "moves": 0}},
    ]
    assert world.value("SELECT players FROM period WHERE number = 1") is None, "sorted for each read meanwhile"
    assert top(lone, 1) == expected
    world.execute("UPDATE period SET late_until = now(), closes_at = now() WHERE number = 1")
    assert keeper.close_periods(world.db) == 1
    assert top(lone, 1) == expected
    (text,) = world.rows("SELECT data FROM event WHERE kind = 'period.closed'")[0]
    assert [(row["userId"], row["columns"]) for row in json.loads(text)["top"]] == [
        (row["userId"], row["columns"]) for row in expected
    ]
    assert send(lone, "s", "a", 9, period=1, columns={"time": 1, "moves": 1}).json["code"] == "period-closed"
