"""Every answer about the current board of a season with a schedule has the number of its period."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from support.http import JSON, Http, base
from support.periods import end_now, patch, put, turn_all
from support.processes import leaderboard, serving
from support.relays import Hand
from support.world import World, world_on

from board.partitions import partition_of
from ctl.embedded import Embedded

WEEKLY: Final = {"schedule": {"cron": "0 0 * * MON", "timeZone": "Europe/Berlin"}}
COLUMNS: Final = [{"name": "time", "order": "asc"}]
Served = tuple[World, Http]


@pytest.fixture(scope="module")
def served(servers: Embedded) -> Iterator[Served]:
    """A server whose boards the test itself carries."""
    with world_on(servers, redis_db=4) as world, serving(world, LEADERBOARD_READ_CACHE_MS="0") as api:
        world.carry_everything()
        with api.client() as http:
            yield world, http


def reads(http: Http, season: str) -> list[Any]:
    """The member `period` of each read of the current board; None where there is none."""
    board = f"{base(season)}/leaderboard"
    paths = ("top", "top?limit=1&offset=1", "rank?userId=ada", "rank?userId=ada&metadata=true", "around?userId=ada",
             "around?userId=ada&range=0", "around?score=3", "count", "score?rank=1", "histogram")  # fmt: skip
    answers = [http.get(f"{board}/{path}") for path in paths]
    answers.append(http.ask("POST", f"{board}/lookup", json.dumps({"userIds": ["ada"]}).encode(), JSON))
    assert {answer.status for answer in answers} == {200}
    return [answer.json.get("period") for answer in answers]


def submit(http: Http, season: str, **more: Any) -> Any:
    body = {"userId": "ada", **more}
    answer = http.ask("POST", f"{base(season)}/scores", json.dumps(body).encode(), JSON)
    assert answer.status == 202, answer.json
    return answer.json


@pytest.mark.parametrize("ranking", ["ordinal", "competition"])
@pytest.mark.parametrize("columns", [[], COLUMNS], ids=["plain", "columns"])
def test_it_is_the_number_that_submissions_are_told(served: Served, ranking: str, columns: list[Any]) -> None:
    world, http = served
    season = f"weekly-{ranking}-{len(columns)}"
    assert put(http, season, operator="best", ranking=ranking, columns=columns, **WEEKLY).status == 201
    run = {"score": 5} | ({"columns": {"time": 3}} if columns else {})
    for number in (1, 2):
        assert submit(http, season, **run)["period"] == number
        world.carry_everything()
        assert set(reads(http, season)) == {number}
        named = http.get(f"{base(season)}/leaderboard/top?period={number}")
        assert named.body.count(b'"period"') == 1 and named.json["period"] == number
        end_now(world, season)
        assert turn_all(world) == 1
        world.carry_everything()
    past = http.get(f"{base(season)}/leaderboard/top?period=1")
    assert past.json["period"] == 1 and past.body.count(b'"period"') == 1


def test_a_season_without_a_schedule_has_none(served: Served) -> None:
    world, http = served
    submit(http, "plain", delta=3)
    world.carry_everything()
    assert set(reads(http, "plain")) == {None}
    assert "period" not in http.get(f"{base('nothing')}/leaderboard/top").json


def test_a_schedule_is_told_and_taken_back_without_a_submission(served: Served) -> None:
    world, http = served
    assert put(http, "later", operator="best", columns=COLUMNS, ranking="competition").status == 201
    submit(http, "later", score=5, columns={"time": 3})
    world.carry_everything()
    assert set(reads(http, "later")) == {None}
    assert patch(http, "later", **WEEKLY).status == 200
    world.carry_everything()
    assert set(reads(http, "later")) == {1}
    assert patch(http, "later", schedule=None).status == 200
    world.carry_everything()
    assert set(reads(http, "later")) == {None}


@pytest.mark.parametrize("columns", [[], COLUMNS], ids=["plain", "columns"])
def test_rebuilds_and_a_batch_without_marks_keep_it(served: Served, columns: list[Any]) -> None:
    world, http = served
    season = f"kept-{len(columns)}"
    assert put(http, season, operator="best", columns=columns, ranking="competition", **WEEKLY).status == 201
    submit(http, season, score=5, **({"columns": {"time": 3}} if columns else {}))
    world.carry_everything()
    Hand(world).rebuild(partition_of(season))
    assert set(reads(http, season)) == {1}
    assert leaderboard(world, "verify", "--wait", "0").returncode == 0
    # As a release does that leaves no marks.
    watermark = world.keys.watermark[partition_of(season)]
    world.redis.hset(watermark, "counted", "0")
    assert set(reads(http, season)) == {1}


def test_verify_finds_another_number(served: Served) -> None:
    world, http = served
    assert put(http, "altered", operator="best", **WEEKLY).status == 201
    submit(http, "altered", score=5)
    world.carry_everything()
    watermark = world.keys.watermark[partition_of("altered")]
    note = world.redis.hget(watermark, "n:altered")
    assert note.endswith(b".p1")
    world.redis.hset(watermark, "n:altered", note[:-1] + b"2")
    assert leaderboard(world, "verify", "--wait", "0").returncode == 1
    Hand(world).rebuild(partition_of("altered"))
    assert leaderboard(world, "verify", "--wait", "0").returncode == 0
