"""`GET /v1/players/{userId}/standings`: where one player stands, in the seasons that are named or in all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from support.http import Answer, Http
from support.naive import NaiveBoard
from support.processes import serving
from support.world import World

from board.season import Ranking
from service.boards.player_standings import LOOKED_MOST

USERS = ["ada", "bob", "cy", "Jörg 1"]
RANKINGS: list[Ranking] = ["ordinal", "competition"]


@pytest.fixture
def http(world: World) -> Iterator[Http]:
    world.carry_everything()
    with serving(world, "/readyz") as api, api.client() as client:
        yield client


def ask(http: Http, user: str, **query: Any) -> Answer:
    return http.get(f"/v1/players/{quote(user)}/standings" + (f"?{urlencode(query)}" if query else ""))


def page(http: Http, user: str, **query: Any) -> dict[str, Any]:
    answer = ask(http, user, **query)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    for item in found["items"]:
        assert item.pop("asOf")
    return found


def play(world: World) -> dict[str, NaiveBoard]:
    """Seasons in which some of the players are."""
    dice = random.Random(5)
    boards = {}
    for n in range(9):
        season, ranking = f"s {n}", RANKINGS[n % 2]
        world.define(season, ranking=ranking)
        world.submit(*((season, user, dice.randrange(1, 4)) for user in USERS if dice.random() < 0.7))
        boards[season] = NaiveBoard(season, world.expected(season), ranking)
    world.carry_everything()
    return boards


def standings(boards: dict[str, NaiveBoard], user: str) -> list[dict[str, Any]]:
    """The player's items, by season."""
    found = [naive.rank(user) for naive in boards.values() if user in {row[0] for row in naive.rows}]
    return [{name: value for name, value in one.items() if name != "userId"} for one in found]


def test_a_player_is_found_in_all_seasons_page_by_page(world: World, http: Http) -> None:
    boards = play(world)
    for user in (*USERS, "nobody"):
        expected = standings(boards, user)
        assert page(http, user) == {"userId": user, "items": expected, "notFound": [], "nextCursor": None}
        for limit in (1, 2, 5):
            items: list[dict[str, Any]] = []
            query: dict[str, Any] = {"limit": limit}
            while True:
                found = page(http, user, **query)
                assert len(found["items"]) <= limit and found["notFound"] == []
                items += found["items"]
                if found["nextCursor"] is None:
                    break
                query["cursor"] = found["nextCursor"]
            assert items == expected


def test_named_seasons_are_answered_in_their_order(world: World, http: Http) -> None:
    boards = play(world)
    asked = ["s 7", "never submitted to", "s 0", "s 3", "s 1"]
    for user in USERS:
        by_season = {item["seasonId"]: item for item in standings(boards, user)}
        assert page(http, user, seasons=",".join(asked)) == {
            "userId": user,
            "items": [by_season[season] for season in asked if season in by_season],
            "notFound": [season for season in asked if season not in by_season],
            "nextCursor": None,
        }


def test_the_current_period_counts(world: World, http: Http) -> None:
    world.submit(("s", "ada", 3), ("t", "ada", 3))
    world.reset("s")
    world.carry_everything()
    assert [item["seasonId"] for item in page(http, "ada")["items"]] == ["t"]
    assert page(http, "ada", seasons="s,t")["notFound"] == ["s"]
    # What no board shows yet is on no page, and does not end the list.
    world.submit(("a", "ada", 3), ("s", "ada", 4))
    first = page(http, "ada", limit=1)
    assert (first["items"], first["notFound"]) == ([], []) and first["nextCursor"]
    world.carry_everything()
    assert [item["seasonId"] for item in page(http, "ada")["items"]] == ["a", "s", "t"]


def test_one_page_looks_at_a_bounded_number_of_seasons(world: World, http: Http) -> None:
    names = [f"n{n:05}" for n in range(LOOKED_MOST + 300)]
    world.create(*names)
    late = names[LOOKED_MOST + 200]
    world.submit((names[3], "ada", 1), (late, "ada", 2))
    world.carry_everything()
    first = page(http, "ada")
    assert [item["seasonId"] for item in first["items"]] == [names[3]] and first["nextCursor"]
    second = page(http, "ada", cursor=first["nextCursor"])
    assert [item["seasonId"] for item in second["items"]] == [late] and second["nextCursor"] is None


BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"seasons": ""}, "invalid-seasons"),
    ({"seasons": "a,"}, "invalid-seasons"),
    ({"seasons": "a,b,a"}, "invalid-seasons"),
    ({"seasons": "a,\0"}, "invalid-seasons"),
    ({"seasons": "x" * 65}, "invalid-seasons"),
    ({"seasons": ",".join(map(str, range(101)))}, "invalid-seasons"),
    ({"seasons": "a", "cursor": "Yg"}, "seasons-or-cursor"),
    ({"cursor": "!"}, "invalid-cursor"),
    ({"limit": 0}, "invalid-limit"),
    ({"int64": "x"}, "invalid-number-spelling"),
]


def test_bad_input_has_its_own_problem(http: Http) -> None:
    for query, code in BAD_INPUT:
        answer = ask(http, "ada", **query)
        assert (answer.status, answer.json["code"]) == (400, code), query
    assert ask(http, "\n").json["code"] == "invalid-user-id"
    assert len(ask(http, "ada", seasons=",".join(map(str, range(100)))).json["notFound"]) == 100


def test_a_board_that_cannot_be_read_leaves_no_season_out(world: World) -> None:
    world.submit(("s", "ada", 1), ("t", "ada", 1))
    with serving(world, "/livez") as api, api.client() as http:
        answer = ask(http, "ada", seasons="s,t")
        assert (answer.status, answer.json["code"]) == (503, "board-rebuilding")
        assert ask(http, "ada").status == 503
