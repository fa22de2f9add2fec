"""The score that a rank or a percentile takes."""

from __future__ import annotations

import pytest
from support.http import Http, base
from support.processes import serving
from support.waiting import eventually
from support.world import World

SCORE = "/leaderboard/score"


@pytest.fixture
def filled(http: Http, season: str) -> str:
    """Four players with the scores 40, 30, 30, 10."""
    for user, delta in (("ada", 40), ("bob", 30), ("cy", 30), ("dee", 10)):
        assert http.post(season, user, delta).status == 202
    eventually(lambda: http.get(f"{base(season)}/leaderboard/count").json["count"] == 4)
    return season


@pytest.mark.parametrize(
    ("query", "rank", "score"),
    [
        ("rank=1", 1, 40),
        ("rank=3", 3, 30),
        ("rank=4", 4, 10),
        ("percentile=100", 1, 40),
        ("percentile=75.01", 1, 40),
        ("percentile=75", 2, 30),
        ("percentile=50", 3, 30),
        ("percentile=50.0", 3, 30),
        ("percentile=2.6e1", 3, 30),
        ("percentile=25", 4, 10),
        ("percentile=0", 4, 10),
    ],
)
def test_a_rank_and_a_percentile_have_a_score(http: Http, filled: str, query: str, rank: int, score: int) -> None:
    answer = http.get(f"{base(filled)}{SCORE}?{query}")
    as_of = http.rank(filled, "ada").json["asOf"]
    assert (answer.status, answer.json) == (200, {"seasonId": filled, "rank": rank, "score": score, "asOf": as_of})


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "rank-or-percentile"),
        ("?rank=1&percentile=50", 400, "rank-or-percentile"),
        ("?rank=0", 400, "invalid-rank"),
        ("?rank=-1", 400, "invalid-rank"),
        ("?rank=1.0", 400, "invalid-rank"),
        ("?rank=1000000000", 400, "invalid-rank"),
        ("?rank=x&percentile=50", 400, "invalid-rank"),
        ("?percentile=", 400, "invalid-percentile"),
        ("?percentile=100.01", 400, "invalid-percentile"),
        ("?percentile=-0.01", 400, "invalid-percentile"),
        ("?percentile=nan", 400, "invalid-percentile"),
        ("?percentile=1e1000", 400, "invalid-percentile"),
        ("?percentile=95%25", 400, "invalid-percentile"),
        ("?rank=5", 404, "rank-not-found"),
    ],
)
def test_bad_input_has_its_own_problem(http: Http, filled: str, query: str, status: int, code: str) -> None:
    answer = http.get(f"{base(filled)}{SCORE}{query}")
    assert (answer.status, answer.json["code"]) == (status, code)


def test_a_rank_beyond_the_board_is_told_its_size(http: Http, filled: str) -> None:
    assert http.get(f"{base(filled)}{SCORE}?rank=5").json["detail"] == "The board has 4 players."
    for query in ("rank=1", "percentile=0", "percentile=100"):
        answer = http.get(f"{base('never-submitted-to')}{SCORE}?{query}")
        assert (answer.status, answer.json["code"]) == (404, "rank-not-found")


def test_a_board_that_redis_does_not_have_has_no_ranks(world: World) -> None:
    world.submit(("s", "ada", 7))
    with serving(world, "/livez") as api, api.client() as http:
        for query in ("rank=1", "percentile=50"):
            answer = http.get(f"{base('s')}{SCORE}?{query}")
            assert (answer.status, answer.json["code"]) == (503, "board-rebuilding")
        world.carry_everything()
        assert http.get(f"{base('s')}{SCORE}?rank=1").json["score"] == 7
