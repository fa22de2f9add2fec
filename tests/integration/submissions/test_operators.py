"""Submitting by the season's operator: what counts, what is answered, what is refused, and what readers see."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base
from support.processes import Api, serving
from support.waiting import eventually
from support.world import World

from board.season import INT64_MAX, INT64_MIN


def define(http: Http, season: str, **members: Any) -> None:
    answer = http.ask("PUT", base(season), json.dumps(members).encode(), JSON)
    assert answer.status in (200, 201), answer.body


def send(http: Http, season: str, user: str, score: Any, **more: Any) -> Answer:
    return http.post_raw(season, json.dumps({"userId": user, "score": score, **more}).encode())


def send_batch(http: Http, season: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
    answer = http.ask("POST", f"{base(season)}/scores/batch", json.dumps({"submissions": items}).encode(), JSON)
    assert answer.status == 200, answer.body
    results: list[dict[str, Any]] = answer.json["results"]
    return results


def test_the_best_lap_counts_however_many_clients_send(season: str, api: Api) -> None:
    """Nobody reads, compares and posts: 70,000 is the best that was driven, and stands at the end."""
    with api.client() as http:
        define(http, season, operator="best")

    def drive(first: int) -> None:
        with api.client() as mine:
            for score in range(first, 70_001, 3_000):
                assert send(mine, season, "ada", score).status == 202

    threads = [threading.Thread(target=drive, args=(first,)) for first in (1_000, 2_000, 40_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with api.client() as http:
        eventually(lambda: http.rank(season, "ada").json.get("score") == 70_000)


def test_the_answer_tells_the_score_before_and_whether_it_is_better(http: Http, season: str) -> None:
    define(http, season, operator="best", order="asc")
    answers = [send(http, season, "ada", score) for score in (900, 950, 800, 800, 0)]
    assert [answer.status for answer in answers] == [202] * 5
    told = [(a.json["score"], a.json["previousScore"], a.json["improved"]) for a in answers]
    assert told == [(900, None, True), (900, 900, False), (800, 900, True), (800, 800, False), (0, 800, True)]
    versions = [answer.json["version"] for answer in answers]
    assert versions[0] == versions[1] < versions[2] == versions[3] < versions[4]


@pytest.mark.parametrize("operator", ["sum", "best", "last"])
def test_boards_with_the_lowest_first_are_read_as_they_were_submitted(http: Http, season: str, operator: str) -> None:
    """At the ends of int64, and on every read of a board."""
    define(http, season, operator=operator, order="asc")
    scores = {"low": INT64_MIN, "neg": -5, "nil": 0, "one": 1, "big": 2**53 + 1, "top": INT64_MAX}
    member = "delta" if operator == "sum" else "score"
    for user, score in reversed(scores.items()):
        if not (operator == "sum" and score == 0):
            body = json.dumps({"userId": user, member: score}).encode()
            answer = http.post_raw(season, body)
            assert (answer.status, answer.json["score"]) == (202, score)
    if operator == "sum":
        del scores["nil"]
    items = [{"rank": rank, "userId": user, "score": score} for rank, (user, score) in enumerate(scores.items(), 1)]
    eventually(lambda: http.top(season).json["items"] == items)
    for rank, (user, score) in enumerate(scores.items(), start=1):
        shown = http.rank(season, user).json
        assert (shown["rank"], shown["score"]) == (rank, score)
    around = http.around(season, "neg", 1).json["items"]
    assert around == items[:3]
    assert http.around(season, "low", 0).json["items"] == [{"rank": 1, "userId": "low", "score": INT64_MIN}]
    board = f"{base(season)}/leaderboard"
    assert http.get(f"{board}/around?userId=low&range=1&fill=true").json["items"] == around
    assert http.get(f"{board}/count").json["count"] == len(scores)
    assert http.get(f"{board}/top?limit=2&offset=1").json["items"] == items[1:3]
    assert http.get(f"{board}/score?rank=2").json["score"] == -5
    assert http.get(f"{board}/score?percentile=0").json["score"] == INT64_MAX
    found = http.ask("POST", f"{board}/lookup", json.dumps({"userIds": ["top", "low", "x"]}).encode(), JSON).json
    assert [(one["rank"], one["score"]) for one in found["items"]] == [(1, INT64_MIN), (len(scores), INT64_MAX)]
    buckets = http.get(f"{board}/histogram?buckets=100&by=quantile").json["buckets"]
    assert sum(bucket["count"] for bucket in buckets) == len(buckets) == len(scores)
    ranges = [(bucket["from"], bucket["to"]) for bucket in reversed(buckets)]
    best_first = list(scores.values())
    for score, (low, high) in zip(best_first, ranges, strict=True):
        assert low <= score <= high
    # Without gaps, from the best to the worst.
    assert [high + 1 for _, high in ranges[:-1]] == [low for low, _ in ranges[1:]]


def test_the_version_of_an_answer_tells_that_the_board_shows_it(http: Http, season: str) -> None:
    define(http, season, operator="last", order="asc")
    for score in (5, 9, 9, 2):
        told = send(http, season, "ada", score).json
        eventually(lambda told=told: http.rank(season, "ada").json.get("version") == told["version"])
        assert http.rank(season, "ada").json["score"] == score


def test_each_wrong_submission_has_its_own_answer_and_writes_nothing(http: Http, season: str, api: Api) -> None:
    lap, summed, later = season + " lap", season, season + " later"
    define(http, lap, operator="best", bounds={"min": 0, "max": 100})
    define(http, summed, bounds={"min": -10, "max": 10})
    define(http, later, operator="last", opensAt="2999-01-01T00:00:00Z")
    cases = [
        (lap, {"delta": 1}, 409, "wrong-operator"),
        (summed, {"score": 1}, 409, "wrong-operator"),
        (season + " nowhere", {"score": 1}, 409, "wrong-operator"),
        (lap, {"score": 101}, 422, "score-out-of-bounds"),
        (lap, {"score": -1}, 422, "score-out-of-bounds"),
        (summed, {"delta": 11}, 422, "score-out-of-bounds"),
        (later, {"score": 1}, 409, "season-not-open"),
        (lap, {"score": 1, "delta": 1}, 400, "invalid-body"),
        (lap, {}, 400, "invalid-body"),
        (lap, {"score": "1"}, 400, "invalid-score"),
        (lap, {"score": 1.5}, 400, "invalid-score"),
        (lap, {"score": 2**63}, 400, "invalid-score"),
        (lap, {"score": None}, 400, "invalid-score"),
        (lap, {"score": 1, "time": 1}, 400, "invalid-body"),
        (summed, {"delta": 0}, 400, "invalid-delta"),
    ]
    ledger = api.world.value("SELECT count(*) FROM ledger")
    for name, members, status, code in cases:
        answer = http.post_raw(name, json.dumps({"userId": "ada", **members}).encode())
        assert (answer.status, answer.json["code"]) == (status, code), (members, answer.body)
        (result,) = send_batch(http, name, {"userId": "ada", **members})
        assert (result["status"], result["code"]) == (status, code), members
    assert api.world.value("SELECT count(*) FROM ledger") == ledger
    assert api.world.rows("SELECT FROM season WHERE season_id = %s", season + " nowhere") == []
    assert http.post_raw(lap, b'{"userId":"ada","score":1,"score":2}').json["code"] == "invalid-body"


@pytest.mark.parametrize(("text", "score"), [("0", 0), ("-0", 0), ("10.0", 10), ("1e3", 1_000), ("0.0", 0)])
def test_a_score_may_be_spelled_like_a_float(http: Http, season: str, text: str, score: int) -> None:
    define(http, season, operator="last")
    answer = http.post_raw(season, b'{"userId":"ada","score":%b}' % text.encode())
    assert (answer.status, answer.json["score"]) == (202, score)
    (result,) = send_batch(http, season, {"userId": "ada", "score": float(text)})
    assert (result["status"], result["score"], result["previousScore"]) == (202, score, score)


def test_the_long_statement_leaves_seasons_with_a_rule_out(http: Http, season: str, api: Api) -> None:
    """A player who is twice in a batch needs the long statement. It does not know bounds."""
    define(http, season, bounds={"min": -10, "max": 10})
    results = send_batch(http, season, *({"userId": "ada", "delta": delta} for delta in (11, 5, -11)))
    assert [result["status"] for result in results] == [422, 202, 422]
    assert [row[:2] for row in api.world.expected(season)] == [("ada", 5)]


def test_a_batch_has_the_answer_of_each_in_order(http: Http, season: str, api: Api) -> None:
    define(http, season, operator="best", bounds={"max": 100})
    results = send_batch(
        http,
        season,
        *({"userId": user, "score": score} for user, score in (("ada", 5), ("ada", 3), ("bob", 200), ("ada", 9))),
        {"userId": "cy", "delta": 1},
        {"userId": "ada", "score": 9},
        {"userId": "cy", "score": 1, "submissionId": "k"},
        {"userId": "cy", "score": 1, "submissionId": "k"},
        {"userId": "cy", "score": 2, "submissionId": "k"},
    )
    told = [(r["status"], r.get("score", r.get("code")), r.get("previousScore"), r.get("improved")) for r in results]
    assert told == [
        (202, 5, None, True),
        (202, 5, 5, False),
        (422, "score-out-of-bounds", None, None),
        (202, 9, 5, True),
        (409, "wrong-operator", None, None),
        (202, 9, 9, False),
        (202, 1, None, True),
        (202, 1, None, True),
        (422, "idempotency-key-reused", None, None),
    ]
    assert (
        api.world.value("SELECT count(*) FROM ledger JOIN season USING (period_id) WHERE season_id = %s", season) == 5
    )


def test_thousands_in_a_batch_are_one_commit(http: Http, season: str, api: Api) -> None:
    define(http, season, operator="best", order="asc")
    items = [{"userId": f"p{n % 1_500}", "score": n % 1_000} for n in range(5_000)]
    results = send_batch(http, season, *items)
    assert {result["status"] for result in results} == {202}
    period = api.world.value("SELECT period_id FROM season WHERE season_id = %s", season)
    assert api.world.rows("SELECT count(*), count(DISTINCT xmin::text) FROM ledger WHERE period_id = %s", period) == [
        (5_000, 1)
    ]
    best = {f"p{user}": min(n % 1_000 for n in range(user, 5_000, 1_500)) for user in range(1_500)}
    held = {user: ~score for user, score, _ in api.world.expected(season)}
    assert held == best
    eventually(lambda: api.world.board(season) == api.world.expected(season))


def test_a_retry_gets_the_whole_first_answer_again(http: Http, season: str, api: Api) -> None:
    define(http, season, operator="best")
    first = send(http, season, "ada", 5, submissionId="first")
    second = send(http, season, "ada", 9, submissionId="second")
    assert second.json["previousScore"] == 5
    assert send(http, season, "ada", 5, submissionId="first").json == first.json
    assert send(http, season, "ada", 9, submissionId="second").json == second.json
    headers = {**JSON, "Idempotency-Key": '"second"'}
    assert http.post_raw(season, b'{"userId":"ada","score":9}', headers).json == second.json
    for other in ({"userId": "ada", "score": 8}, {"userId": "bob", "score": 9}, {"userId": "ada", "delta": 9}):
        refused = http.post_raw(season, json.dumps({**other, "submissionId": "second"}).encode())
        assert (refused.status, refused.json["code"]) == (422, "idempotency-key-reused"), other
    define(http, season, operator="best", bounds={"max": 1})
    assert send(http, season, "ada", 9, submissionId="second").json == second.json, "known before it is judged"
    assert send(http, season, "ada", 9, submissionId="third").json["code"] == "score-out-of-bounds"
    define(http, season, operator="best")
    assert send(http, season, "ada", 9, submissionId="third").json["improved"] is False, "a refused one uses no key"


def test_a_season_opens_by_the_clock_of_postgresql(http: Http, season: str, api: Api) -> None:
    opens = api.world.value("SELECT to_char(now() AT TIME ZONE 'UTC' + '700 ms', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    define(http, season, operator="best", opensAt=opens)
    assert http.get(base(season)).json["period"]["state"] == "upcoming"
    is_past = f"SELECT clock_timestamp() >= '{opens}'"
    refused = 0
    while True:
        was_open = api.world.value(is_past)
        answer = send(http, season, "ada", 1)
        if answer.status == 202:
            assert api.world.value(is_past), "not a moment too early"
            break
        assert (answer.status, answer.json["code"]) == (409, "season-not-open") and not was_open
        refused += 1
    assert refused > 0
    assert http.get(base(season)).json["period"]["state"] == "open"


def test_a_statement_mixes_seasons_of_every_kind(world: World) -> None:
    """What waited for one commit goes into one statement, whatever the operators; each is judged by its own."""
    kinds = {"a": {}, "b": {"operator": "best"}, "c": {"operator": "last", "order": "asc"}, "d": {"order": "asc"}}
    with serving(world) as api, api.client() as http:
        for name, members in kinds.items():
            define(http, name, **members)
            assert (http.post(name, "x", 1) if name in "ad" else send(http, name, "x", 1)).status == 202
        clients = [api.client() for _ in range(12)]
        with world.held("a"):
            clients[0].send_post("a", "plug", 1)
            eventually(lambda: world.waiting() == 1)
            for n, client in enumerate(clients[1:], start=1):
                name = "abcd"[n % 4]
                member = "delta" if name in "ad" else "score"
                client.send("POST", f"{base(name)}/scores", json.dumps({"userId": "x", member: n}).encode(), JSON)
            with api.client() as other:
                other.get("/livez")
        answers = [client.receive() for client in clients]
        for client in clients:
            client.connection.close()
    assert [answer.status for answer in answers] == [202] * 12
    assert world.value("SELECT count(DISTINCT xmin::text) FROM ledger WHERE user_id = 'x'") == 5, "4 before, and one"
    turned = {"a": 1 + 4 + 8, "b": 9, "c": ~10, "d": ~(1 + 3 + 7 + 11)}
    assert {name: score for name in kinds for user, score, _ in world.expected(name) if user == "x"} == turned
