"""`?period=` on lookup, score and histogram: before the standings are there and after, in both orders."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from support.http import JSON, Http, base
from support.naive import NaiveBoard
from support.periods import GRID, end_now, keeper_of
from support.processes import serving
from support.world import World, world_on

from board.partitions import partition_of
from board.season import Ranking
from ctl.embedded import Embedded
from relay.batch import relay_batch

PLAYERS = 40
STAGES = pytest.mark.parametrize("stage", ["live", "closed", "final"])


numbers = itertools.count(1)


@pytest.fixture(scope="module")
def own(servers: Embedded) -> Iterator[tuple[World, Http]]:
    """A server whose boards the test itself carries."""
    with world_on(servers, redis_db=4) as made, serving(made, LEADERBOARD_READ_CACHE_MS="0") as api:
        made.carry_everything()
        with api.client() as client:
            yield made, client


@pytest.fixture
def world(own: tuple[World, Http]) -> World:
    return own[0]


@pytest.fixture
def http(own: tuple[World, Http]) -> Http:
    return own[1]


@pytest.fixture
def season() -> str:
    return f"past {next(numbers)}"


def carry(world: World, season: str) -> None:
    relay_batch(world.session(), partition_of(season), check=True)


def play(world: World, season: str, order: str, ranking: Ranking, stage: str) -> NaiveBoard:
    """A period with ties, and scores that share a double; its board as it is stored: the highest first."""
    dice = random.Random(11)
    world.define(season, operator="best", order=order, ranking=ranking, schedule=GRID)
    for n in range(PLAYERS):
        score = dice.choice([*range(-5, 5), 2**60, 2**60 + 1, 2**60 + 2, -(2**63), 2**63 - 1])
        world.submit_by_rule((season, f"p{n}", score, True))
    carry(world, season)
    naive = NaiveBoard(season, world.expected(season), ranking)
    if stage != "live":
        end_now(world, season)
        assert keeper_of(world).turn_seasons(world.db) == 1
        # The next period has another board.
        world.submit_by_rule((season, "p0", 1, True), (season, "stranger", 2, True))
        carry(world, season)
    if stage == "final":
        assert keeper_of(world).close_periods(world.db) >= 1
    return naive


def ask(http: Http, season: str, path: str) -> dict[str, Any]:
    answer = http.get(f"{base(season)}/leaderboard/{path}&period=1")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    assert found.pop("asOf") and found.pop("period") == 1
    return found


def turn(found: dict[str, Any], order: str) -> dict[str, Any]:
    """A row with its score as it is stored."""
    return found if order == "desc" else {**found, "score": ~found["score"]}


def look_up(http: Http, season: str, users: list[str], period: int = 1) -> Any:
    body = json.dumps({"userIds": users}).encode()
    return http.ask("POST", f"{base(season)}/leaderboard/lookup?period={period}", body, JSON)


@pytest.mark.parametrize("ranking", ["ordinal", "competition"])
@pytest.mark.parametrize("order", ["desc", "asc"])
@STAGES
def test_questions_about_a_period_are_answered_by_its_board(
    world: World, http: Http, season: str, order: str, ranking: Ranking, stage: str
) -> None:
    naive = play(world, season, order, ranking, stage)
    for rank in (1, 2, 17, PLAYERS):
        assert turn(ask(http, season, f"score?rank={rank}"), order) == naive.score(rank)
    for percentile in ("0", "33.3333", "50", "97.5", "99.99", "100"):
        found = turn(ask(http, season, f"score?percentile={percentile}"), order)
        assert found == naive.percentile(Fraction(percentile))
    for users in (["p3", "nobody", "p9", "p0", "stranger"], [], [f"p{n}" for n in range(PLAYERS)]):
        found = look_up(http, season, users).json
        assert found.pop("asOf") and found.pop("period") == 1
        found["items"] = [turn(item, order) for item in found["items"]]
        assert found == naive.lookup(users)
    for buckets in (1, 2, 7, 100):
        for query in ("", "&by=quantile"):
            found = ask(http, season, f"histogram?buckets={buckets}{query}")["buckets"]
            if order == "asc":
                found = [{"from": ~one["to"], "to": ~one["from"], "count": one["count"]} for one in found]
            firsts = naive.quantiles(buckets) if query else [one["from"] for one in found]
            assert {"seasonId": season, "buckets": found} == naive.histogram(firsts)
            assert sum(one["count"] for one in found) == PLAYERS
            assert query or len(found) == buckets, "by score the ranges have about the same width"


@STAGES
def test_bad_questions_about_a_period_have_their_own_problems(
    world: World, http: Http, season: str, stage: str
) -> None:
    play(world, season, "desc", "ordinal", stage)
    for path, code in {
        "score?period=1": "rank-or-percentile",
        "score?period=1&rank=1&percentile=1": "rank-or-percentile",
        f"score?period=1&rank={PLAYERS + 1}": "rank-not-found",
        "score?period=9&rank=1": "period-not-found",
        "score?period=0&rank=1": "invalid-period",
        "histogram?period=9": "period-not-found",
        "histogram?period=x": "invalid-period",
    }.items():
        assert http.get(f"{base(season)}/leaderboard/{path}").json["code"] == code, path
    assert look_up(http, season, ["p1"], 9).json["code"] == "period-not-found"
    assert look_up(http, season, ["p1"], 0).json["code"] == "invalid-period"
    world.execute(f"UPDATE period SET expired_at = now() WHERE number = 1 AND season_id = '{season}'")
    if stage == "final":
        assert look_up(http, season, ["p1"]).json["code"] == "period-expired"


def test_a_period_without_a_player_has_no_rank_and_no_bucket(world: World, http: Http, season: str) -> None:
    world.define(season, schedule=GRID)
    end_now(world, season)
    keeper = keeper_of(world)
    assert keeper.turn_seasons(world.db) == 1
    for closed in (0, 1):
        assert closed == 0 or keeper.close_periods(world.db) >= 1
        assert ask(http, season, "histogram?buckets=3") == {"seasonId": season, "buckets": []}
        answer = http.get(f"{base(season)}/leaderboard/score?period=1&percentile=50")
        assert (answer.status, answer.json["code"]) == (404, "rank-not-found")
        assert look_up(http, season, ["p1"]).json["notFound"] == ["p1"]
