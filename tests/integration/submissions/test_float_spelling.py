"""Whole numbers that engines with doubles alone spell as 10.0, on a real server: they count, and exactly."""

from __future__ import annotations

import json

import pytest
from support.http import JSON, Http, base
from support.processes import Api

BOTH = pytest.mark.parametrize("plain", [True, False], ids=["fast path", "ordinary path"])


def number(text: str, key: str | None = None) -> bytes:
    more = b"" if key is None else b',"submissionId":"%b"' % key.encode()
    return b'{"userId":"ada","delta":%b%b}' % (text.encode(), more)


@BOTH
def test_they_add_up(api: Api, http: Http, season: str, plain: bool) -> None:
    name = season.replace(" ", "-") if plain else season
    sums = []
    for text in ("10.0", "1e3", "-12.0", "10", "9007199254740992.0", "-9007199254740992.0"):
        answer = http.post_raw(name, number(text))
        assert answer.status == 202
        sums.append(answer.json["score"])
    assert sums == [10, 1010, 998, 1008, 2**53 + 1008, 1008]
    for text in ("0.5", "-0.0", "9007199254740993.0", "1e300"):
        answer = http.post_raw(name, number(text))
        assert (answer.status, answer.json["code"]) == (400, "invalid-delta")
    query = "SELECT delta FROM ledger JOIN season USING (period_id) WHERE season_id = %s ORDER BY submission"
    deltas = api.world.rows(query, name)
    assert [delta for (delta,) in deltas] == [10, 1000, -12, 10, 2**53, -(2**53)]


@BOTH
def test_a_key_does_not_depend_on_the_spelling(http: Http, season: str, plain: bool) -> None:
    name = season.replace(" ", "-") if plain else season
    first = http.post_raw(name, number("1e1", "k"))
    for text in ("10.0", "10", "1e1", "100e-1"):
        again = http.post_raw(name, number(text, "k"))
        assert (again.status, again.json) == (202, first.json)
    assert http.post_raw(name, number("11.0", "k")).status == 422


def test_in_a_batch_each_is_judged_by_itself(http: Http, season: str) -> None:
    texts = ["10.0", "0.5", "5", "1e1", "9007199254740993.0", "-0.0"]
    body = b'{"submissions":[%b]}' % b",".join(map(number, texts))
    answer = http.ask("POST", f"{base(season)}/scores/batch", body, JSON)
    results = answer.json["results"]
    assert [(one["status"], one.get("code"), one.get("score")) for one in results] == [
        (202, None, 10),
        (400, "invalid-delta", None),
        (202, None, 15),
        (202, None, 25),
        (400, "invalid-delta", None),
        (400, "invalid-delta", None),
    ]


def test_what_json_of_doubles_writes_is_taken(http: Http, season: str) -> None:
    """Python's floats are written like those of Godot and Lua."""
    for value in (1.0, 250.0, 1e6, 2.0**53):
        assert http.post_raw(season, json.dumps({"userId": "ada", "delta": value}).encode()).status == 202
