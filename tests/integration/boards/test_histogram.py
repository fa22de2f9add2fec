"""Histograms: exact numbers of players in ranges of scores, all of one instant."""

from __future__ import annotations

import threading

import pytest
from support.http import Http, base
from support.processes import relaying, serving
from support.waiting import eventually
from support.world import World

HISTOGRAM = "/leaderboard/histogram"


def histogram(http: Http, season: str, query: str = "") -> list[tuple[int, int, int]]:
    """The buckets of a histogram: from, to, count."""
    answer = http.get(f"{base(season)}{HISTOGRAM}{query}")
    assert (answer.status, answer.json["seasonId"]) == (200, season), answer.body
    return [(bucket["from"], bucket["to"], bucket["count"]) for bucket in answer.json["buckets"]]


def test_players_are_counted_in_ranges_of_scores(http: Http, season: str) -> None:
    scores = [1, 2, 2, 2, 9, 10, -3, 40]
    for n, score in enumerate(scores):
        assert http.post(season, f"p{n}", score).status == 202
    eventually(lambda: http.get(f"{base(season)}/leaderboard/count").json["count"] == len(scores))
    assert histogram(http, season, "?buckets=4") == [(-3, 7, 5), (8, 18, 2), (19, 29, 0), (30, 40, 1)]
    assert histogram(http, season, "?buckets=4&by=score") == histogram(http, season, "?buckets=4")
    assert len(histogram(http, season)) == 20
    assert histogram(http, season, "?buckets=1") == [(-3, 40, 8)]
    # The worst scores of four parts of two players each are -3, 2, 2, 10.
    assert histogram(http, season, "?by=quantile&buckets=4") == [(-3, 1, 2), (2, 9, 4), (10, 40, 2)]


def test_scores_beyond_a_double_are_told_apart(http: Http, season: str) -> None:
    edge = 2**60
    scores = [edge - 1, edge, edge, edge + 1, -edge, -edge - 1, 2**63 - 1, -(2**63)]
    for n, score in enumerate(scores):
        assert http.post(season, f"p{n}", score).status == 202
    eventually(lambda: http.get(f"{base(season)}/leaderboard/count").json["count"] == len(scores))
    assert histogram(http, season, "?buckets=2") == [(-(2**63), -1, 3), (0, 2**63 - 1, 5)]
    assert histogram(http, season, "?by=quantile&buckets=100") == [
        (-(2**63), -edge - 2, 1),
        (-edge - 1, -edge - 1, 1),
        (-edge, edge - 2, 1),
        (edge - 1, edge - 1, 1),
        (edge, edge, 2),
        (edge + 1, 2**63 - 2, 1),
        (2**63 - 1, 2**63 - 1, 1),
    ]


def test_a_season_without_a_submission_has_no_bucket(http: Http) -> None:
    assert histogram(http, "never-submitted-to") == histogram(http, "never-submitted-to", "?by=quantile") == []


def test_players_with_one_score_are_one_bucket(http: Http, season: str) -> None:
    for user in ("ada", "bob"):
        assert http.post(season, user, 7).status == 202
    eventually(lambda: histogram(http, season) == [(7, 7, 2)])
    assert histogram(http, season, "?by=quantile") == [(7, 7, 2)]
    assert http.delete(season).status == 200
    assert histogram(http, season) == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("buckets=0", "invalid-buckets"),
        ("buckets=101", "invalid-buckets"),
        ("buckets=x", "invalid-buckets"),
        ("by=rank", "invalid-by"),
        ("by=", "invalid-by"),
    ],
)
def test_bad_input_has_its_own_problem(http: Http, query: str, code: str) -> None:
    answer = http.get(f"{base('s')}{HISTOGRAM}?{query}")
    assert (answer.status, answer.json["code"]) == (400, code)


def test_a_board_that_redis_does_not_have_has_no_histogram(world: World) -> None:
    world.submit(("s", "ada", 7))
    with serving(world, "/livez") as api, api.client() as http:
        answer = http.get(f"{base('s')}{HISTOGRAM}")
        assert (answer.status, answer.json["code"]) == (503, "board-rebuilding")
        world.carry_everything()
        assert histogram(http, "s") == [(7, 7, 1)]


def test_all_players_are_counted_at_one_instant(world: World) -> None:
    """Each batch brings a hundred players at once, and moves all others, so no other number may be seen."""
    world.submit(*(("s", f"p{n}", n + 1) for n in range(100)))
    world.carry_everything()
    seen: list[int] = []
    with relaying(world) as relay, serving(world, "/readyz") as api, api.client() as http:
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                for query in ("?buckets=7", "?buckets=9&by=quantile"):
                    seen.append(sum(count for _, _, count in histogram(http, "s", query)))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for players in range(200, 1_200, 100):
                moved = [("s", f"p{n}", (n % 11) * 2**50 - 2**52) for n in range(players - 100)]
                world.submit(*moved, *(("s", f"p{n}", n + 1) for n in range(players - 100, players)))
                relay.until(lambda players=players: seen and seen[-1] == players)  # type: ignore[misc]
        finally:
            done.set()
            asking.join()
    assert {*seen} == {*range(100, 1_200, 100)}
