"""`?int64=string`: numbers of 64 bits as strings, on both paths, and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from support.http import JSON, Answer, Http, base
from support.operations import SPELLING
from support.processes import serving
from support.world import World

from service.http.openapi import make_document
from service.http.spelling import SPELLED_JSON
from service.routes import OPERATIONS

BIG = 2**62 + 1
READS = [
    "top?limit=2",
    "rank?userId=ada",
    "around?userId=ada",
    "around?score=7",
    "score?rank=1",
    "histogram?buckets=3",
]
NUMBERS = {"score", "version", "previousScore", "from", "to"}


@pytest.fixture
def http(world: World) -> Iterator[Http]:
    world.submit(("s", "ada", BIG), ("s", "bob", -BIG), ("s", "cy", 3))
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as client:
        yield client


def spell(value: Any) -> Any:
    """The answer as it has to be."""
    if isinstance(value, dict):
        return {
            name: str(one) if name in NUMBERS and isinstance(one, int) else spell(one) for name, one in value.items()
        }
    return [spell(one) for one in value] if isinstance(value, list) else value


def fits(answer: Answer, method: str, path: str) -> None:
    """The answer is one of the document, by its status and media type."""
    document = make_document()
    described = document["paths"][path][method]["responses"][str(answer.status)]["content"][answer.kind]
    jsonschema.validate(answer.json, {**described["schema"], "components": document["components"]})


@SPELLING
def test_reads_have_strings(http: Http, spelt: Callable[[str], str]) -> None:
    for read in READS:
        assert_has_strings(http, read, spelt)


def assert_has_strings(http: Http, read: str, spelt: Callable[[str], str]) -> None:
    path = f"{base('s')}/leaderboard/{read}"
    numbers, strings = http.get(path), http.get(f"{path}&int64={spelt('string')}")
    assert (numbers.status, numbers.kind) == (200, "application/json")
    assert (strings.status, strings.kind) == (200, SPELLED_JSON)
    assert strings.json == spell(numbers.json) != numbers.json
    assert strings.headers["etag"] == numbers.headers["etag"]
    fits(strings, "get", "/v1/seasons/{sid}/leaderboard/" + read.partition("?")[0])
    assert http.get(f"{path}&int64={spelt('number')}").body == numbers.body
    held = http.ask("GET", f"{path}&int64=string", None, {"If-None-Match": strings.headers["etag"]})
    assert (held.status, held.body) == (304, b"")
    for text in ("", "text", "String"):
        answer = http.get(f"{path}&int64={spelt(text)}")
        assert (answer.status, answer.json["code"]) == (400, "invalid-number-spelling")
    refused = http.get(f"{base('s')}/leaderboard/rank?userId=nobody&int64=string")
    assert (refused.status, refused.kind) == (404, "application/problem+json")


def test_a_lookup_has_strings(http: Http) -> None:
    path, body = f"{base('s')}/leaderboard/lookup", b'{"userIds":["bob","ada","eve"]}'
    numbers, strings = (http.ask("POST", path + query, body, JSON) for query in ("", "?int64=string"))
    assert strings.json == spell(numbers.json) and strings.json["items"][0]["score"] == str(BIG)
    fits(strings, "post", "/v1/seasons/{sid}/leaderboard/lookup")
    assert http.ask("POST", f"{path}?int64=x", body, JSON).json["code"] == "invalid-number-spelling"


@SPELLING
def test_submissions_have_strings(http: Http, spelt: Callable[[str], str]) -> None:
    path = f"{base('s')}/scores?int64={spelt('string')}"
    answer = http.ask("POST", path, b'{"userId":"ada","delta":1}', JSON)
    assert (answer.status, answer.kind, answer.json["score"]) == (202, SPELLED_JSON, str(BIG + 1))
    fits(answer, "post", "/v1/seasons/{sid}/scores")
    # A retry of the other spelling has the same answer.
    key = {**JSON, "Idempotency-Key": '"k"'}
    first = http.ask("POST", path, b'{"userId":"cy","delta":1}', key)
    again = http.ask("POST", f"{base('s')}/scores", b'{"userId":"cy","delta":1}', key)
    assert (first.json, again.status) == (spell(again.json), 202)
    batch = b'{"submissions":[{"userId":"bob","delta":-1},{"userId":"bob","delta":0}]}'
    found = http.ask("POST", f"{base('s')}/scores/batch?int64={spelt('string')}", batch, JSON)
    assert [one.get("score") for one in found.json["results"]] == [str(-BIG - 1), None]
    fits(found, "post", "/v1/seasons/{sid}/scores/batch")
    before = http.rank("s", "cy").json
    assert http.ask("POST", f"{base('s')}/scores?int64=no", b'{"userId":"cy","delta":1}', JSON).status == 400
    assert http.rank("s", "cy").json == before


def test_metadata_stay_as_they_were_sent(world: World, http: Http) -> None:
    sent = {"score": 5, "columns": {"a": 1}, "from": [1]}
    body = json.dumps({"userId": "ada", "delta": 1, "metadata": sent}).encode()
    assert http.post_raw("s", body).status == 202
    world.carry_everything()
    found = http.get(f"{base('s')}/leaderboard/rank?userId=ada&metadata=true&int64=string").json
    assert (found["metadata"], found["score"]) == (sent, str(BIG + 1))


def test_every_read_of_a_board_has_the_choice() -> None:
    reads = {op.name for op in OPERATIONS if "/leaderboard/" in op.path}
    # The answer to a count has no number of 64 bits.
    assert {op.name for op in OPERATIONS if op.takes_int64} >= reads - {"getCount"} | {
        "submitScore",
        "submitScores",
        "getStandings",
        "listEvents",
    }
