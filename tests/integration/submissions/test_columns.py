"""Submissions with columns over HTTP: what is taken, what is refused, and what a retry gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base
from support.periods import patch, put
from support.processes import Api
from support.waiting import eventually

TIME_AND_MOVES = [{"name": "time", "order": "asc"}, {"name": "moves"}]


def send(http: Http, season: str, user: str, headers: Any = (), **members: Any) -> Answer:
    body = json.dumps({"userId": user, **members}).encode()
    return http.post_raw(season, body, {**JSON, **dict(headers)})


def send_batch(http: Http, season: str, *items: str) -> list[dict[str, Any]]:
    body = f'{{"submissions":[{",".join(items)}]}}'.encode()
    answer = http.ask("POST", f"{base(season)}/scores/batch", body, JSON)
    assert answer.status == 200, answer.body
    results: list[dict[str, Any]] = answer.json["results"]
    return results


def test_the_best_run_is_one_run_never_made_of_two(http: Http, season: str) -> None:
    put(http, season, operator="best", columns=TIME_AND_MOVES)
    runs = [
        (100, {"time": 50, "moves": 9}, True),
        (100, {"time": 60, "moves": 99}, False),
        (99, {"time": 1, "moves": 99}, False),
        (100, {"moves": 9, "time": 50}, False),
        (100, {"time": 50, "moves": 10}, True),
        (100, {"time": 49, "moves": -5}, True),
        (101, {"time": 999, "moves": -9}, True),
    ]
    before = None
    for score, columns, improved in runs:
        told = send(http, season, "ada", score=score, columns=columns).json
        assert (told["score"], told["previousScore"], told["improved"]) == (max(score, before or 0), before, improved)
        before = told["score"]
    item = {"rank": 1, "userId": "ada", "score": 101, "columns": {"time": 999, "moves": -9}}
    eventually(lambda: http.top(season).json["items"] == [item])
    assert list(http.top(season).json["items"][0]["columns"]) == ["time", "moves"], "in the order of the rule"


@pytest.mark.parametrize(("operator", "member"), [("sum", "delta"), ("last", "score")])
def test_the_latest_run_shows_its_columns(http: Http, season: str, operator: str, member: str) -> None:
    put(http, season, operator=operator, columns=[{"name": "time"}])
    for value, time in ((5, 9), (2, 1), (3, 4)):
        told = send(http, season, "ada", **{member: value}, columns={"time": time}).json
        eventually(lambda told=told: http.rank(season, "ada").json.get("version") == told["version"])
        shown = http.rank(season, "ada").json
        assert (shown["score"], shown["columns"]) == (told["score"], {"time": time})


@pytest.mark.parametrize(
    "columns",
    [
        '{"time":1}',
        '{"time":1,"moves":2,"stars":3}',
        '{"time":1,"stars":3}',
        '{"time":1,"moves":2,"a":3,"b":4}',
        "{}",
        '{"time":1,"moves":1.5}',
        '{"time":1,"moves":"2"}',
        '{"time":1,"moves":null}',
        '{"time":1,"moves":true}',
        '{"time":1,"moves":9223372036854775808}',
        '{"time":-9223372036854775809,"moves":2}',
        '{"time":1,"moves":1e300}',
        '{"time":1,"moves":9007199254740994.0}',
        '{"time":1,"mo ves":2}',
        '{"time":1,"moves\\u0000":2}',
        '{"time":{"x":1},"moves":2}',
        "[1,2]",
        "7",
        "null",
    ],
)
def test_columns_that_do_not_fit_are_refused_alone(http: Http, season: str, columns: str) -> None:
    put(http, season, operator="best", columns=TIME_AND_MOVES)
    good = '{"userId":"ada","score":1,"columns":{"time":1,"moves":2}}'
    bad = f'{{"userId":"bob","score":1,"columns":{columns}}}'
    answer = http.post_raw(season, bad.encode())
    assert (answer.status, answer.json["code"]) == (400, "invalid-columns"), answer.body
    results = send_batch(http, season, bad, good, bad)
    assert [(one["status"], one.get("code")) for one in results] == [
        (400, "invalid-columns"), (202, None), (400, "invalid-columns"),
    ]  # fmt: skip
    answer = http.post_raw(season, bad.encode())
    assert (answer.status, answer.json["code"]) == (400, "invalid-columns"), "also once the columns are known"
    eventually(lambda: [item["userId"] for item in http.top(season).json["items"]] == ["ada"])


@pytest.mark.parametrize(("text", "kind"), [("1.5", "`float`"), ('"1"', "`str`"), ("null", "`null`")])
def test_a_value_that_is_no_whole_number_is_told_as_what_it_is(http: Http, season: str, text: str, kind: str) -> None:
    put(http, season, operator="best", columns=TIME_AND_MOVES)
    answer = http.post_raw(season, f'{{"userId":"a","score":1,"columns":{{"time":{text},"moves":2}}}}'.encode())
    assert (answer.status, answer.json["code"]) == (400, "invalid-columns")
    assert f"got {kind}" in answer.json["detail"]


def test_a_submission_without_the_columns_is_told_which_there_are(http: Http, season: str, api: Api) -> None:
    put(http, season, operator="best", columns=TIME_AND_MOVES)
    answer = send(http, season, "ada", score=1)
    assert (answer.status, answer.json["code"]) == (400, "invalid-columns")
    assert "time, moves" in answer.json["detail"]
    plain, nowhere = season + " plain", season + " nowhere"
    put(http, plain)
    for name in (plain, nowhere):
        answer = send(http, name, "ada", delta=1, columns={"time": 1})
        assert (answer.status, answer.json["code"]) == (400, "invalid-columns")
    assert api.world.rows("SELECT FROM season WHERE season_id = %s", nowhere) == []
    assert send(http, plain, "ada", delta=1, columns={}).status == 202
    assert send(http, season, "ada", delta=1, columns={"time": 1}).json["code"] == "wrong-operator"
    assert (
        http.post_raw(season, b'{"userId":"ada","score":1,"columns":{"time":1,"time":2}}').json["code"]
        == "invalid-body"
    )


@pytest.mark.parametrize("text", ["120.0", "1.2e2", "120"])
def test_a_column_may_be_spelled_like_a_float(http: Http, season: str, text: str) -> None:
    put(http, season, operator="last", columns=[{"name": "time"}])
    body = f'{{"userId":"ada","score":1.0,"columns":{{"time":{text}}}}}'
    assert http.post_raw(season, body.encode()).status == 202
    assert send_batch(http, season, body)[0]["status"] == 202
    eventually(lambda: http.rank(season, "ada").json.get("columns") == {"time": 120})


def test_a_retry_gets_its_first_answer_and_other_columns_are_another_submission(http: Http, season: str) -> None:
    put(http, season, operator="best", columns=TIME_AND_MOVES)
    key = {"Idempotency-Key": "k"}
    first = send(http, season, "ada", key, score=5, columns={"time": 1, "moves": 2})
    assert first.status == 202
    send(http, season, "ada", score=6, columns={"time": 1, "moves": 2})
    assert send(http, season, "ada", key, score=5, columns={"moves": 2, "time": 1}).json == first.json
    for columns in ({"time": 1, "moves": 3}, {"time": 2, "moves": 2}, {"time": 1}):
        assert send(http, season, "ada", key, score=5, columns=columns).json["code"] == "idempotency-key-reused"
    assert send(http, season, "ada", key, score=5).json["code"] == "idempotency-key-reused"
    assert http.delete(season).status == 200
    patch(http, season, columns=[{"name": "stars"}])
    assert send(http, season, "ada", key, score=5, columns={"time": 1, "moves": 2}).json == first.json


def test_columns_are_fixed_while_the_period_has_submissions(http: Http, season: str) -> None:
    assert put(http, season, operator="best", columns=[{"name": "time"}]).status == 201
    assert patch(http, season, columns=TIME_AND_MOVES).json["columns"][1] == {"name": "moves", "order": "desc"}
    assert send(http, season, "ada", score=1, columns={"time": 1, "moves": 2}).status == 202
    for columns in (None, [], [{"name": "time"}], [*reversed(TIME_AND_MOVES)], [{"name": "time"}, {"name": "moves"}]):
        answer = patch(http, season, columns=columns)
        assert (answer.status, answer.json["code"]) == (409, "setting-fixed"), columns
    assert patch(http, season, columns=TIME_AND_MOVES, title="t").status == 200
    assert http.get(base(season)).json["columns"] == [TIME_AND_MOVES[0], {"name": "moves", "order": "desc"}]
    assert http.ask("POST", f"{base(season)}/reset").status == 200
    # The same number of columns, with other names and in another order.
    assert patch(http, season, columns=[{"name": "stars"}, {"name": "time"}]).status == 200
    assert send(http, season, "bob", score=1, columns={"time": 1, "moves": 2}).json["code"] == "invalid-columns"
    assert send(http, season, "bob", score=1, columns={"time": 7, "stars": 2}).status == 202
    eventually(lambda: http.rank(season, "bob").json.get("columns") == {"stars": 2, "time": 7})
    past = http.get(f"{base(season)}/leaderboard/rank?userId=ada&period=1").json
    assert past["columns"] == {"time": 1, "moves": 2}, "a period keeps the names that it had"
    # The next periods have the columns of the one before, however it ended.
    for end in ("POST", "POST", "DELETE", "POST"):
        path = f"{base(season)}/reset" if end == "POST" else base(season)
        assert http.ask(end, path).status == 200
        assert send(http, season, "cy", score=1, columns={"time": 3, "stars": 4}).status == 202
    periods = [one["number"] for one in http.get(f"{base(season)}/periods").json["items"]]
    assert periods == [6, 5, 3, 2, 1]
    for number in periods[:3]:
        path = f"{base(season)}/leaderboard/rank?userId=cy&period={number}"
        eventually(lambda path=path: http.get(path).json.get("columns") == {"stars": 4, "time": 3})
    assert http.ask("POST", f"{base(season)}/reset").status == 200
    assert patch(http, season, columns=None).json["columns"] == []
    assert send(http, season, "bob", score=1).status == 202
    eventually(lambda: http.top(season).json["items"] == [{"rank": 1, "userId": "bob", "score": 1}])


def test_metadata_and_the_waiting_answer_go_with_columns(http: Http, season: str, api: Api) -> None:
    put(http, season, operator="best", columns=[{"name": "time", "order": "asc"}])
    for score, time, track in ((5, 9, "a"), (5, 8, "b"), (5, 10, "c")):
        answer = send(
            http, season, "ada", {"Prefer": "wait=5"}, score=score, columns={"time": time}, metadata={"track": track}
        )
        assert (answer.status, answer.json["rank"]) == (200, 1)
    shown = http.get(f"{base(season)}/leaderboard/rank?userId=ada&metadata=true").json
    assert (shown["columns"], shown["metadata"]) == ({"time": 8}, {"track": "b"})
    runs = api.world.rows(
        "SELECT run FROM ledger JOIN season USING (period_id) WHERE season_id = %s ORDER BY submission", season
    )
    assert [run[:1] + run[9:] for (run,) in runs] == [b'\1{"track":"%b"}' % track for track in (b"a", b"b", b"c")]
