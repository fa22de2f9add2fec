"""Pages of the top list: `offset` leaves out the players of the pages before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.http import Http, base
from support.operations import SPELLING
from support.processes import serving
from support.world import World

PLAYERS = 25


@pytest.fixture
def filled(world: World) -> Iterator[Http]:
    """Twenty-five players; p0 is the best. Top lists are kept for a long time."""
    world.submit(*(("s", f"p{n}", 100 - n) for n in range(PLAYERS)))
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="1000") as api, api.client() as http:
        yield http


def page(http: Http, query: str) -> list[int]:
    answer = http.get(f"{base('s')}/leaderboard/top?{query}")
    assert answer.status == 200, answer.body
    return [int(item["userId"].removeprefix("p")) for item in answer.json["items"]]


@SPELLING
def test_pages_show_each_player_once(filled: Http, spelt: Callable[[str], str]) -> None:
    shown = [page(filled, f"limit={spelt('10')}&offset={spelt(str(offset))}") for offset in (0, 10, 20, 30)]
    assert shown == [[*range(10)], [*range(10, 20)], [*range(20, 25)], []]
    assert page(filled, "offset=24&limit=10") == [24]


def test_pages_that_are_kept_are_not_taken_for_each_other(filled: Http) -> None:
    for _ in range(3):
        assert page(filled, "limit=5") == page(filled, "limit=5&offset=0") == [0, 1, 2, 3, 4]
        assert page(filled, "limit=5&offset=5") == [5, 6, 7, 8, 9]
        assert page(filled, "limit=4&offset=5") == [5, 6, 7, 8]


def test_an_offset_has_bounds(filled: Http) -> None:
    assert page(filled, "offset=10000") == []
    for text in ("-1", "10001", "x", ""):
        answer = filled.get(f"{base('s')}/leaderboard/top?offset={text}")
        assert (answer.status, answer.json["code"]) == (400, "invalid-offset")
