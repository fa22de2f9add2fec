"""The window around a player: `fill` keeps its size at the ends of the board."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.http import Http, base
from support.operations import SPELLING
from support.processes import serving
from support.world import World

PLAYERS = 10


@pytest.fixture
def filled(world: World) -> Iterator[Http]:
    """Ten players; p1 is the best."""
    world.submit(*(("s", f"p{n}", 100 - n) for n in range(1, PLAYERS + 1)))
    world.carry_everything()
    with serving(world, "/readyz") as api, api.client() as http:
        yield http


def ranks(http: Http, query: str) -> list[int]:
    answer = http.get(f"{base('s')}/leaderboard/around?{query}")
    assert answer.status == 200, answer.body
    items = answer.json["items"]
    assert [item["userId"] for item in items] == [f"p{item['rank']}" for item in items]
    return [item["rank"] for item in items]


@SPELLING
def test_a_filled_window_has_its_size_wherever_the_player_stands(filled: Http, spelt: Callable[[str], str]) -> None:
    for rank in range(1, PLAYERS + 1):
        for side in (1, 2, 4):
            first = max(1, min(rank - side, PLAYERS - 2 * side))
            query = f"userId={spelt(f'p{rank}')}&range={side}&fill={spelt('true')}"
            assert ranks(filled, query) == [*range(first, first + 2 * side + 1)]


def test_a_window_larger_than_the_board_is_the_board(filled: Http) -> None:
    for rank in range(1, PLAYERS + 1):
        for side in (5, 9, 10, 100):
            assert ranks(filled, f"userId=p{rank}&range={side}&fill=true") == [*range(1, PLAYERS + 1)]


def test_without_it_the_window_ends_with_the_board(filled: Http) -> None:
    for query in ("userId=p2&range=3", "userId=p2&range=3&fill=false", "fill=false&range=3&userId=p2"):
        assert ranks(filled, query) == [1, 2, 3, 4, 5]
    assert ranks(filled, "userId=p2&range=0&fill=true") == [2]


def test_what_is_neither_true_nor_false_is_refused(filled: Http) -> None:
    for text in ("", "1", "True", "yes"):
        answer = filled.get(f"{base('s')}/leaderboard/around?userId=p2&fill={text}")
        assert (answer.status, answer.json["code"]) == (400, "invalid-fill")


def test_a_stranger_has_no_window(filled: Http) -> None:
    for season, code in (("s", "player-not-found"), ("t", "season-not-found")):
        answer = filled.get(f"{base(season)}/leaderboard/around?userId=zoe&fill=true")
        assert (answer.status, answer.json["code"]) == (404, code)
