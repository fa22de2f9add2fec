"""The number of players on a board: exact as soon as the board shows them, and refused while it is rebuilt."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from support.http import Http
from support.processes import serving
from support.waiting import eventually
from support.world import World


def count(http: Http, season: str) -> int:
    answer = http.get(f"/v1/seasons/{quote(season)}/leaderboard/count")
    assert (answer.status, answer.json.keys()) == (200, {"seasonId", "count", "asOf"})
    assert answer.json["seasonId"] == season
    return int(answer.json["count"])


def test_a_season_without_a_submission_has_no_players(http: Http) -> None:
    assert count(http, "never-submitted-to") == 0


@pytest.mark.parametrize("season", ["counted", "counted too"], ids=["fast path", "ordinary path"])
def test_each_player_counts_once_until_the_season_is_reset(http: Http, season: str) -> None:
    for player, delta in (("ada", 5), ("bob", -3), ("ada", 2)):
        assert http.post(season, player, delta).status == 202
    eventually(lambda: count(http, season) == 2)
    assert http.delete(season).status == 200
    assert count(http, season) == 0


def test_a_board_that_redis_does_not_have_is_not_an_empty_one(world: World) -> None:
    world.submit(("s", "ada", 1))
    with serving(world, "/livez") as api, api.client() as http:
        answer = http.get("/v1/seasons/s/leaderboard/count")
        assert (answer.status, answer.json["code"]) == (503, "board-rebuilding")
        world.carry_everything()
        assert count(http, "s") == 1
