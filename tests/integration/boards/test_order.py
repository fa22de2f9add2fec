"""Order and numbers: earliest first among equals, every int64 exact, from HTTP through PostgreSQL to Redis and back."""

from __future__ import annotations

import itertools
import random

from support.http import Http
from support.processes import Api
from support.waiting import eventually

EDGES = sorted(
    {
        sign * (base + step)
        for base in (2**52, 2**53, 2**53 + 2**12, 2**62, 2**63 - 3)
        for step in (-2, -1, 0, 1, 2)
        for sign in (1, -1)
    }
    | {2**63 - 1, -(2**63), -(2**63) + 1, 1, -1, 2047, 2048, 2049}
)


def caught_up(api: Api, season: str) -> None:
    """Wait until Redis holds what PostgreSQL has; decoded and ordered by the test itself."""
    eventually(lambda: api.world.board(season) == api.world.expected(season))


def best(http: Http, season: str) -> list[str]:
    """The players of the top list, which may be a few milliseconds old."""
    return [item["userId"] for item in http.top(season).json["items"]]


def test_among_equals_the_earliest_is_first(http: Http, season: str, api: Api) -> None:
    users = [f"p{n}" for n in range(20)]
    random.Random(1).shuffle(users)
    for user in users:
        http.post(season, user, 100)
    caught_up(api, season)
    assert [item["userId"] for item in http.top(season, 20).json["items"]] == users
    for rank, user in enumerate(users, 1):
        assert http.rank(season, user).json["rank"] == rank


def test_who_reaches_a_score_later_stands_behind(http: Http, season: str, api: Api) -> None:
    http.post(season, "slow", 60)
    http.post(season, "fast", 100)
    http.post(season, "slow", 40)
    caught_up(api, season)
    eventually(lambda: best(http, season) == ["fast", "slow"])
    # Leaving a score and coming back to it counts as reaching it again.
    http.post(season, "fast", 5)
    http.post(season, "fast", -5)
    caught_up(api, season)
    eventually(lambda: best(http, season) == ["slow", "fast"])


def test_every_edge_of_int64_is_exact(http: Http, season: str, api: Api) -> None:
    order = EDGES.copy()
    random.Random(2).shuffle(order)
    for score in order:
        assert http.post(season, f"s{score}", score).json["score"] == score
    caught_up(api, season)
    items = http.top(season, 1000).json["items"]
    assert [item["score"] for item in items] == sorted(EDGES, reverse=True)
    assert all(item["userId"] == f"s{item['score']}" for item in items)
    for rank, score in enumerate(sorted(EDGES, reverse=True), 1):
        found = http.rank(season, f"s{score}").json
        assert (found["rank"], found["score"]) == (rank, score)


def test_neighbouring_scores_beyond_a_double_stay_apart(http: Http, season: str, api: Api) -> None:
    # 2^60 and its neighbours are one double; only the member keeps them apart.
    for score in (2**60 + 1, 2**60 - 1, 2**60 + 2, 2**60):
        http.post(season, f"{score}", score)
    caught_up(api, season)
    assert [i["score"] for i in http.top(season).json["items"]] == [2**60 + 2, 2**60 + 1, 2**60, 2**60 - 1]


def test_one_player_walks_across_every_edge(http: Http, season: str, api: Api) -> None:
    score = 0
    for here, there in itertools.pairwise([1, 2**52, 2**53, 2**62, 2**63 - 1]):
        score = http.post(season, "walker", here - score).json["score"] if score != here else score
        assert score == here
        score = http.post(season, "walker", there - here).json["score"]
        assert score == there
        caught_up(api, season)
        assert http.rank(season, "walker").json["score"] == there
    assert api.world.redis.zcard(api.world.keys.board(_partition(season), season.encode())) == 1


def _partition(season: str) -> int:
    from board.partitions import partition_of

    return partition_of(season)
