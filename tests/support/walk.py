"""A walk through all that the API, the relays and the commands do, in front of servers with few rights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from support.http import JSON, Answer, Http, base


def walk(http: Http, headers: Mapping[str, str], season: str, settled: Callable[[], Any]) -> None:
    """Submissions, a batch, retries, all reads, a reset, and a first score after it; then the same of a season with a
    rule. `settled` waits for the board."""

    def ask(method: str, path: str, body: Any = None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        return http.ask(method, base(season) + path, data, {**JSON, **headers})

    for number in range(20):
        submission = {"userId": f"p{number}", "delta": number + 1, "submissionId": f"m{number}"}
        assert ask("POST", "/scores", submission).status == 202
        assert ask("POST", "/scores", submission).json["score"] == number + 1
    batch = {"submissions": [{"userId": f"q{number}", "delta": -number} for number in range(20)]}
    statuses = [result["status"] for result in ask("POST", "/scores/batch", batch).json["results"]]
    assert statuses == [400] + [202] * 19
    settled()
    top = ask("GET", "/leaderboard/top?limit=2").json["items"]
    assert top == [{"rank": 1, "userId": "p19", "score": 20}, {"rank": 2, "userId": "p18", "score": 19}]
    assert ask("GET", "/leaderboard/rank?userId=p17").json["rank"] == 3
    assert ask("GET", "/leaderboard/rank?userId=nobody").json["code"] == "player-not-found"
    around = ask("GET", "/leaderboard/around?userId=p17&range=1").json["items"]
    assert [item["rank"] for item in around] == [2, 3, 4]
    assert ask("GET", "/leaderboard/count").json["count"] == 39
    found = ask("POST", "/leaderboard/lookup", {"userIds": ["q1", "nobody", "p17"]}).json
    assert [(item["rank"], item["userId"]) for item in found["items"]] == [(3, "p17"), (21, "q1")]
    assert found["notFound"] == ["nobody"]
    assert ask("GET", "/leaderboard/score?percentile=95").json["score"] == 19
    buckets = ask("GET", "/leaderboard/histogram?buckets=2").json["buckets"]
    assert [bucket["count"] for bucket in buckets] == [19, 20]
    assert ask("DELETE", "").status == 200
    assert ask("POST", "/scores", {"userId": "ada", "delta": 1}).status == 202
    settled()
    assert ask("DELETE", "").status == 200
    assert ask("PUT", "", {"operator": "best", "order": "asc", "bounds": {"min": 0}}).json["order"] == "asc"
    assert ask("PATCH", "", {"title": "Lap"}).status == 200
    for user, score in (("ada", 9), ("bob", 7), ("ada", 8)):
        assert ask("POST", "/scores", {"userId": user, "score": score, "submissionId": f"{user}{score}"}).status == 202
    assert (
        ask("POST", "/scores/batch", {"submissions": [{"userId": "cy", "score": -1}]}).json["results"][0]["status"]
        == 422
    )
    settled()
    assert ask("GET", "/leaderboard/top").json["items"] == [
        {"rank": 1, "userId": "bob", "score": 7},
        {"rank": 2, "userId": "ada", "score": 8},
    ]
    assert ask("GET", "/leaderboard/rank?userId=ada").json["score"] == 8
    assert ask("GET", "").json["title"] == "Lap"
    assert season in [item["seasonId"] for item in http.ask("GET", "/v1/seasons", None, dict(headers)).json["items"]]
