"""Standings that were written at a period's end are right when late submissions come in its grace."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import psycopg
import pytest
from support.http import JSON, Http, base
from support.marks import thinned
from support.periods import GRID, end_now, events_of, keeper_of, put, submit, turn_all
from support.processes import serving
from support.relays import Unsignalled
from support.waiting import eventually
from support.world import World

import relay.keeper
from relay.keeper import PeriodKeeper

PLAYERS: Final = 23
OVER: Final = "UPDATE period SET late_until = now(), closes_at = now() WHERE ends_at IS NOT NULL"


@pytest.fixture
def lone(world: World) -> Any:
    """The API without relays, and without a keeper but that of the test."""
    with serving(world) as api, api.client() as client:
        yield client


class Stopped(Unsignalled):
    """A stop that comes at a number of looks, as a signal may."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def requested(self) -> bool:  # type: ignore[override]
        self.looks -= 1
        return self.looks < 0


def begin(http: Http, world: World, **members: Any) -> dict[str, int]:
    """A season whose first period is in its grace; the scores of it."""
    put(http, "s", operator="best", schedule=GRID, graceS=3_600, **members)
    scores = {f"p{n:02}": n for n in range(PLAYERS)}
    answers = world.submit_by_rule(*(("s", user, score, True) for user, score in scores.items()))
    assert {status for status, *_ in answers} == {0}
    end_now(world, "s")
    assert turn_all(world) == 1
    return scores


def top(http: Http, query: str = "") -> Any:
    return http.get(f"{base('s')}/leaderboard/top?period=1&limit=1000{query}")


def ranked(scores: dict[str, int]) -> list[dict[str, Any]]:
    best = sorted(scores.items(), key=lambda one: -one[1])
    return [{"rank": n, "userId": user, "score": score} for n, (user, score) in enumerate(best, 1)]


def is_written(world: World) -> bool:
    return world.value("SELECT players IS NOT NULL FROM period WHERE number = 1") is True


def listed(http: Http) -> Any:
    """The first period in the list of them."""
    (first,) = http.get(f"{base('s')}/periods?cursor=Mg").json["items"]
    return first


def test_reads_show_late_ones_at_once_and_the_standings_follow(lone: Http, world: World) -> None:
    scores = begin(lone, world)
    keeper = keeper_of(world)
    keeper.close_periods(world.db)
    assert is_written(world)
    before = top(lone)
    assert before.json["items"] == ranked(scores)
    assert listed(lone)["players"] is None, "more may come"
    for user, score in (("p03", 1_000), ("new", 500)):
        scores[user] = score
        assert submit(lone, "s", user, score=score, period=1).json["period"] == 1
        shown = top(lone)
        assert shown.json["items"] == ranked(scores) and shown.json["total"] == len(scores)
        assert shown.json["asOf"] != before.json["asOf"] and shown.headers["etag"] != before.headers["etag"]
        before = shown
    assert not is_written(world)
    (period,) = keeper.rests
    keeper.rests[period] += 3_600
    keeper.close_periods(world.db)
    assert is_written(world) is False, "not at once again: it may be a million rows"
    keeper.rests.clear()
    keeper.close_periods(world.db)
    assert is_written(world)
    again = top(lone)
    assert (again.json, again.headers["etag"]) == (before.json, before.headers["etag"])
    assert lone.get(f"{base('s')}/leaderboard/rank?period=1&userId=new").json["rank"] == 2
    assert lone.get(f"{base('s')}/leaderboard/count?period=1").json["count"] == PLAYERS + 1
    around = lone.get(f"{base('s')}/leaderboard/around?period=1&userId=p03&range=1").json["items"]
    assert around == ranked(scores)[:2]
    world.execute(OVER)
    assert keeper.close_periods(world.db) == 1
    assert top(lone).json == before.json
    (text,) = world.rows("SELECT data FROM event WHERE kind = 'period.closed'")[0]
    data = json.loads(text)
    assert (data["players"], data["top"]) == (PLAYERS + 1, ranked(scores)[:10])
    assert listed(lone)["players"] == PLAYERS + 1


def test_a_run_that_is_no_better_changes_no_board(lone: Http, world: World) -> None:
    scores = begin(lone, world)
    keeper_of(world).close_periods(world.db)
    assert submit(lone, "s", "p09", score=-1, period=1).json["improved"] is False
    assert is_written(world), "nor are the standings written again"
    assert top(lone).json["items"] == ranked(scores)


@pytest.mark.parametrize("seed", thinned(range(8), 4))
def test_a_keeper_that_ends_amid_it_and_late_ones_between(
    lone: Http, world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after any bite, with late submissions at any time; what is final is what PostgreSQL has."""
    monkeypatch.setattr(relay.keeper, "BITE", 4)
    monkeypatch.setattr(relay.keeper, "REST_TIMES", 0)
    dice = random.Random(seed)
    scores = begin(lone, world)
    for _ in range(12):
        stopped = PeriodKeeper(world.settings, Stopped(dice.randrange(1, 25)))
        stopped.close_periods(world.db)
        if dice.random() < 0.6:
            user, score = f"p{dice.randrange(PLAYERS + 9):02}", dice.randrange(1_000) * 1_000 + dice.randrange(999)
            assert submit(lone, "s", user, score=score, period=1).status == 202
            scores[user] = max(score, scores.get(user, score))
        shown = top(lone).json
        assert [(row["userId"], row["score"]) for row in shown["items"]] == [
            (row["userId"], row["score"]) for row in ranked(scores)
        ]
    world.execute(OVER)
    assert keeper_of(world).close_periods(world.db) == 1
    assert top(lone).json["items"] == ranked(scores)
    assert events_of(world, "s", "period.closed") == [1]
    assert world.value("SELECT count(*) FROM standing") == len(scores)


def test_one_that_comes_while_the_standings_are_written_is_in_the_next_ones(lone: Http, world: World) -> None:
    scores = begin(lone, world)

    class Interrupted(PeriodKeeper):
        def write_standings(self, db: Any, period: int) -> int:
            players = super().write_standings(db, period)
            assert submit(lone, "s", "new", score=500, period=1).status == 202
            return players

    Interrupted(world.settings, Unsignalled()).close_periods(world.db)
    scores["new"] = 500
    assert not is_written(world)
    assert top(lone).json["items"] == ranked(scores)
    keeper_of(world).close_periods(world.db)
    assert is_written(world) and top(lone).json["items"] == ranked(scores)


@pytest.mark.parametrize(
    "path",
    [
        "top?limit=1000",
        "rank?userId=p00",
        "around?userId=p00&range=3&fill=true",
        "around?score=3&range=3&fill=true",
        "score?rank=20",
        "score?percentile=50",
        "histogram?buckets=4",
        "histogram?buckets=4&by=quantile",
        "lookup",
    ],
)
def test_a_read_amid_the_next_standings_is_whole(lone: Http, world: World, path: str) -> None:
    """It has found standings, and waits until the keeper has deleted most of them."""
    begin(lone, world)
    keeper_of(world).close_periods(world.db)
    asked = f"{base('s')}/leaderboard/{path}{'&' if '?' in path else '?'}period=1"
    body = b'{"userIds":["p00","p22","nobody"]}' if path == "lookup" else None
    method = "GET" if body is None else "POST"
    before = lone.ask(method, asked, body, JSON)
    assert before.status == 200
    with psycopg.connect(world.settings.database_url) as db:
        db.execute("LOCK TABLE standing IN ACCESS EXCLUSIVE MODE")
        lone.send(method, asked, body, JSON)
        eventually(lambda: world.waiting("leaderboard-boards") == 1)
        db.execute("DELETE FROM standing WHERE position > 5")
        db.execute("UPDATE period SET players = NULL, late = late + 1 WHERE number = 1")
        db.commit()
    answer = lone.receive()
    assert answer.status == 200, answer.body
    shown, wanted = answer.json, before.json
    assert shown.pop("asOf") != wanted.pop("asOf")
    assert shown == wanted


@pytest.mark.walk
def test_a_season_that_is_reset_before_it_opens_has_been_open_for_no_time(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", opensAt="2998-01-01T00:00:00Z", schedule={"endsAt": "2999-01-01T00:00:00Z"})
    assert lone.ask("POST", f"{base('s')}/reset").status == 503, "nothing shows it without relays"
    (event,) = lone.get("/v1/events").json["items"]
    assert (event["kind"], event["period"]) == ("period.ended", 1)
    assert event["data"]["startsAt"] == event["data"]["endsAt"] < "2998"
    now, before = lone.get(f"{base('s')}/periods").json["items"]
    assert before["startsAt"] <= before["endsAt"] < "2998"
    assert (now["number"], now["state"], now["startsAt"]) == (2, "upcoming", "2998-01-01T00:00:00Z")
    assert now["endsAt"] == "2999-01-01T00:00:00Z"
