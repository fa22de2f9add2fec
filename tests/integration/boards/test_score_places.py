"""`around?score=`: where a score that nobody needs to have would stand, on current boards and on ended ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from support.http import Http, base
from support.marks import thinned
from support.naive import NaiveBoard
from support.periods import GRID, end_now, keeper_of, put
from support.processes import serving
from support.world import World, world_on

from board.partitions import partition_of
from board.season import Ranking
from ctl.embedded import Embedded
from relay.batch import relay_batch

EDGE = 2**60
SCORES = [EDGE + 40, EDGE + 40, EDGE + 39, EDGE - 1, 7, 7, 7, 0, -1, -(2**63), 2**63 - 1]
ASKED = [*SCORES, EDGE + 41, EDGE + 38, EDGE, EDGE + 2047, EDGE + 2048, 8, 6, 1, -2, -(2**63) + 1, 2**63 - 2]


numbers = itertools.count(1)
Served = tuple[World, Http]


@pytest.fixture(scope="module")
def served(servers: Embedded) -> Iterator[Served]:
    """A server whose boards the test itself carries."""
    with world_on(servers, redis_db=4) as world, serving(world, LEADERBOARD_READ_CACHE_MS="0") as api:
        world.carry_everything()
        with api.client() as client:
            yield world, client


@pytest.fixture
def http(served: Served) -> Http:
    return served[1]


def around(http: Http, query: str, season: str = "s") -> Any:
    return http.get(f"{base(season)}/leaderboard/around?{query}")


def turned(found: dict[str, Any]) -> dict[str, Any]:
    """An answer of a board whose lowest score is first, with the complements of its scores."""
    items = [{**item, "score": ~item["score"]} for item in found["items"]]
    return {**found, "score": ~found["score"], "items": items}


@pytest.mark.parametrize(
    ("stage", "order", "ranking"),
    thinned(itertools.product(["live", "closed", "final"], ["desc", "asc"], ["ordinal", "competition"]), 5),
)
def test_a_score_stands_where_a_new_row_with_it_would(served: Served, order: str, ranking: Ranking, stage: str) -> None:
    world, http = served
    season = f"place {next(numbers)}"
    world.define(season, operator="best", order=order, ranking=ranking, schedule=GRID)
    for n, score in enumerate(SCORES):
        world.submit_by_rule((season, f"p{n}", score if order == "desc" else ~score, True))
    relay_batch(world.session(), partition_of(season), check=True)
    naive = NaiveBoard(season, world.expected(season), ranking)
    if stage != "live":
        end_now(world, season)
        assert keeper_of(world).turn_seasons(world.db) == 1
    if stage == "final":
        assert keeper_of(world).close_periods(world.db) >= 1
    for score, (side, fill) in itertools.product(ASKED, ((0, False), (1, False), (4, False), (4, True), (20, True))):
        query = f"score={score if order == 'desc' else ~score}&range={side}&fill={str(fill).lower()}"
        found = around(http, query + ("" if stage == "live" else "&period=1"), season).json
        assert found.pop("asOf") and found.pop("period", 1) == 1
        assert (found if order == "desc" else turned(found)) == naive.place(score, side, fill)


@pytest.mark.parametrize("ranking", ["ordinal", "competition"])
def test_a_score_without_columns_equals_no_row(served: Served, ranking: Ranking) -> None:
    """In a season with columns rows with one score share no rank, unless their columns are equal, too."""
    world, http = served
    season = f"place {next(numbers)}"
    put(http, season, operator="best", columns=[{"name": "time"}], ranking=ranking, schedule=GRID)
    for user, score, time in (("ada", 8, 1), ("bob", 7, 2), ("cy", 7, 2), ("dan", 6, 3)):
        body = f'{{"userId":"{user}","score":{score},"columns":{{"time":{time}}}}}'
        assert http.post_raw(season, body.encode()).status == 202
    relay_batch(world.session(), partition_of(season), check=True)

    def ranks(period: str) -> list[int]:
        return [around(http, f"score={score}{period}", season).json["rank"] for score in (9, 8, 7, 6, 5)]

    assert ranks("") == [1, 2, 4, 5, 5]
    end_now(world, season)
    assert keeper_of(world).turn_seasons(world.db) == 1
    assert ranks("&period=1") == [1, 2, 4, 5, 5]
    assert keeper_of(world).close_periods(world.db) >= 1
    assert ranks("&period=1") == [1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid-user-id"),
        ("userId=", "invalid-user-id"),
        ("userId=ada&score=1", "user-or-score"),
        ("score=1&minVersion=1", "user-or-score"),
        *((f"score={text}", "invalid-score") for text in ("", "x", "1.0", "-", "9223372036854775808", "1e3")),
        ("score=1&range=101", "invalid-range"),
    ],
)
def test_bad_input_has_its_own_problem(http: Http, query: str, code: str) -> None:
    answer = around(http, query)
    assert (answer.status, answer.json["code"]) == (400, code)


def test_an_unknown_season_has_nobody_ahead(http: Http) -> None:
    answer = around(http, "score=5&fill=true")
    assert answer.json == {
        **{"seasonId": "s", "score": 5, "rank": 1, "range": 5, "items": [], "total": 0},
        "asOf": http.top("s").json["asOf"],
    }
    assert around(http, "score=5&period=1").json["code"] == "season-not-found"
