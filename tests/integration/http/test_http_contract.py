"""The HTTP contract, shape for shape, on the real API and relays; every answer also against /openapi.json."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from support.http import JSON, Answer, Http, raw
from support.processes import Api
from support.waiting import eventually


@pytest.fixture(scope="session")
def document(api: Api) -> dict[str, Any]:
    with api.client() as http:
        answer = http.get("/openapi.json")
    assert answer.status == 200 and answer.kind == "application/json"
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture(scope="session")
def conforms(document: dict[str, Any]) -> Callable[[Answer, str, str], Any]:
    """Checks an answer against the document's schema for its path, method, status and media type."""

    def check(answer: Answer, method: str, path: str) -> Any:
        responses = document["paths"][path][method]["responses"]
        assert str(answer.status) in responses, f"{answer.status} is not documented: {answer.body!r}"
        content = responses[str(answer.status)]["content"]
        assert answer.headers["content-type"] in content
        schema = content[answer.kind]["schema"] | {"components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json)
        return answer.json

    return check


Conforms = Callable[[Answer, str, str], Any]
SCORES = "/v1/seasons/{sid}/scores"
TOP = "/v1/seasons/{sid}/leaderboard/top"
RANK = "/v1/seasons/{sid}/leaderboard/rank"
AROUND = "/v1/seasons/{sid}/leaderboard/around"
SEASON = "/v1/seasons/{sid}"


def exactly(value: Any, like: Any) -> None:
    """The same members in the same types; booleans are no numbers."""
    assert type(value) is type(like), (value, like)
    if isinstance(like, dict):
        for name in like:
            assert name in value
            exactly(value[name], like[name])
    elif isinstance(like, list):
        assert len(value) == len(like)
        for one, other in zip(value, like, strict=True):
            exactly(one, other)
    else:
        assert value == like


def shown(http: Http, season: str, user: str, score: int) -> None:
    """Wait until the board shows the player's score."""

    def look() -> bool:
        answer = http.rank(season, user)
        return answer.status == 200 and answer.json["score"] == score

    eventually(look)


def test_a_submission(http: Http, season: str, conforms: Conforms) -> None:
    first = http.post(season, "ada", 120)
    assert first.status == 202
    body = conforms(first, "post", SCORES)
    exactly(body, {"seasonId": season, "userId": "ada", "queued": True, "score": 120})
    second = conforms(http.post(season, "ada", -20), "post", SCORES)
    assert second["score"] == 100
    assert second["version"] > body["version"]


def test_a_submission_is_in_postgresql_when_it_is_answered(http: Http, season: str, api: Api) -> None:
    for n in range(1, 6):
        version = http.post(season, "ada", 10).json["version"]
        assert api.world.expected(season) == [("ada", 10 * n, version)]
    deltas = api.world.rows(
        "SELECT delta FROM ledger JOIN season USING (period_id) WHERE season_id = %s ORDER BY submission", season
    )
    assert deltas == [(10,)] * 5


def test_top(http: Http, season: str, conforms: Conforms) -> None:
    for user, delta in (("ada", 120), ("grace", 300), ("linus", -5)):
        http.post(season, user, delta)
    shown(http, season, "linus", -5)
    answer = http.top(season)
    assert answer.status == 200
    scores = [("grace", 300), ("ada", 120), ("linus", -5)]
    everybody = [{"rank": rank, "userId": user, "score": score} for rank, (user, score) in enumerate(scores, 1)]
    exactly(conforms(answer, "get", TOP), {"seasonId": season, "items": everybody, "total": 3})
    assert http.top(season, 2).json["items"] == everybody[:2]
    assert http.top(season, 1000).json["items"] == everybody


def test_top_gives_ten_unless_told_otherwise(http: Http, season: str) -> None:
    for n in range(12):
        http.post(season, f"p{n:02}", 100 - n)
    shown(http, season, "p11", 89)
    assert [i["userId"] for i in http.top(season).json["items"]] == [f"p{n:02}" for n in range(10)]
    assert len(http.top(season, 11).json["items"]) == 11


def test_top_of_an_unknown_season_is_an_empty_list(http: Http, season: str, conforms: Conforms) -> None:
    answer = http.top(season)
    assert answer.status == 200
    exactly(conforms(answer, "get", TOP), {"seasonId": season, "items": [], "total": 0})


def test_rank(http: Http, season: str, conforms: Conforms) -> None:
    http.post(season, "ada", 120)
    version = http.post(season, "grace", 300).json["version"]
    shown(http, season, "grace", 300)
    shown(http, season, "ada", 120)
    answer = http.rank(season, "grace")
    assert answer.status == 200
    body = conforms(answer, "get", RANK)
    whole = {"total": 2, "percentile": 100.0}
    exactly(body, {"seasonId": season, "userId": "grace", "rank": 1, "score": 300, "version": version, **whole})
    exactly(http.rank(season, "ada").json, {"seasonId": season, "userId": "ada", "rank": 2, "score": 120})


def test_the_version_tells_when_the_board_shows_a_submission(http: Http, season: str) -> None:
    version = 0
    for _ in range(20):
        version = http.post(season, "ada", 1).json["version"]
    found = eventually(
        lambda: a.json if (a := http.rank(season, "ada")).status == 200 and a.json["version"] >= version else {}
    )
    assert found["score"] == 20


def test_around(http: Http, season: str, conforms: Conforms) -> None:
    for n in range(1, 21):
        http.post(season, f"p{n}", 1000 - n)
    shown(http, season, "p20", 980)

    def window(first: int, last: int) -> list[dict[str, Any]]:
        return [{"rank": n, "userId": f"p{n}", "score": 1000 - n} for n in range(first, last + 1)]

    answer = http.around(season, "p10", 2)
    assert answer.status == 200
    body = conforms(answer, "get", AROUND)
    exactly(body, {"seasonId": season, "userId": "p10", "range": 2, "items": window(8, 12), "total": 20})
    exactly(http.around(season, "p10").json, {"seasonId": season, "userId": "p10", "range": 5, "items": window(5, 15)})
    assert http.around(season, "p1", 3).json["items"] == window(1, 4)
    assert http.around(season, "p20", 3).json["items"] == window(17, 20)
    assert http.around(season, "p7", 0).json["items"] == window(7, 7)
    assert http.around(season, "p7", 100).json["items"] == window(1, 20)


@pytest.mark.parametrize("ask", [Http.rank, Http.around])
def test_who_is_not_on_the_board(
    http: Http, season: str, conforms: Conforms, ask: Callable[[Http, str, str], Answer]
) -> None:
    path = RANK if ask is Http.rank else AROUND
    unknown_season = ask(http, season, "ada")
    assert unknown_season.status == 404
    assert conforms(unknown_season, "get", path)["code"] == "season-not-found"
    http.post(season, "ada", 1)
    shown(http, season, "ada", 1)
    unknown_player = ask(http, season, "grace")
    assert unknown_player.status == 404
    assert conforms(unknown_player, "get", path)["code"] == "player-not-found"


def test_delete(http: Http, season: str, conforms: Conforms) -> None:
    http.post(season, "ada", 1)
    answer = http.delete(season)
    assert answer.status == 200
    exactly(conforms(answer, "delete", SEASON), {"seasonId": season, "deleted": True})
    assert http.top(season).json["items"] == []


def test_delete_of_an_unknown_season(http: Http, season: str, conforms: Conforms) -> None:
    answer = http.delete(season)
    assert answer.status == 200
    exactly(conforms(answer, "delete", SEASON), {"seasonId": season, "deleted": True})


@pytest.mark.parametrize("path", ["/healthz", "/livez"])
def test_liveness(http: Http, conforms: Conforms, path: str) -> None:
    answer = http.get(path)
    assert answer.status == 200
    exactly(conforms(answer, "get", path), {"status": "ok"})


def test_readiness(http: Http, conforms: Conforms) -> None:
    answer = http.get("/readyz")
    assert answer.status == 200
    ready = {"status": "ready", "redis": "ok", "postgres": "ok", "schema": "ok", "relays": "ok"}
    exactly(conforms(answer, "get", "/readyz"), ready)


SEASONS = [
    "caf\u00e9",
    "\u65e5\u672c",
    "\U0001f3c6 cup",
    "a b",
    "50%",
    "a+b",
    "a?b#c",
    "..",
    "{x}",
    "*[?]",
    "\ufffd",
    "x" * 64,
]
USERS = [
    "J\u00f6rg",
    "\u540d\u524d",
    "\U0001f600" * 128,
    "a/b",
    "a b",
    'quo"te\\',
    "<&>'",
    "\u2028",
    "%41",
    "+",
    "x" * 128,
    "\ufffd",
]


@pytest.mark.parametrize("name", SEASONS)
def test_seasons_of_every_script(http: Http, name: str, conforms: Conforms) -> None:
    body = conforms(http.post(name, "ada", 7), "post", SCORES)
    assert body["seasonId"] == name
    shown(http, name, "ada", 7)
    exactly(http.top(name).json, {"seasonId": name, "items": [{"rank": 1, "userId": "ada", "score": 7}], "total": 1})
    assert http.delete(name).json["seasonId"] == name


@pytest.mark.parametrize("user", USERS)
def test_players_of_every_script(http: Http, season: str, user: str, conforms: Conforms) -> None:
    assert conforms(http.post(season, user, 7), "post", SCORES)["userId"] == user
    shown(http, season, user, 7)
    items = [{"rank": 1, "userId": user, "score": 7}]
    assert http.top(season).json["items"] == items
    assert conforms(http.around(season, user), "get", AROUND)["items"] == items
    raw_json = json.dumps({"userId": user, "delta": 1}, ensure_ascii=False).encode()
    assert http.post_raw(season, raw_json).json["score"] == 8, "escaped or not, it is one player"


def test_what_clients_may_do_with_headers(http: Http, season: str) -> None:
    body = b'{"delta": 1, "userId": "ada"}'
    for headers in (
        JSON,
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "APPLICATION/JSON"},
    ):
        assert http.post_raw(season, body, headers).status == 202
    assert http.post_raw(season, body, {**JSON, "Accept": "text/html"}).status == 202


def test_a_body_in_chunks(api: Api, season: str) -> None:
    chunks = [b'{"userId": "a', b'da", "del', b'ta": 5}']
    data = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    head = f"POST /v1/seasons/{quote(season)}/scores HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    got = raw(api.port, (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + data)
    assert got.startswith(b"HTTP/1.1 202"), got
    assert b'"score":5' in got


@pytest.mark.parametrize("spelling", ["plain", "encoded", "mixed"])
def test_requests_in_one_packet_are_answered_in_order(api: Api, season: str, spelling: str) -> None:
    plain = season.replace(" ", "-")
    spellings = {"plain": [plain], "encoded": [f"%{ord(plain[0]):02X}{plain[1:]}"]}
    spellings["mixed"] = spellings["plain"] + spellings["encoded"]
    one = b'{"userId":"ada","delta":1}'
    data = b""
    for n in range(6):
        path = f"/v1/seasons/{spellings[spelling][n % len(spellings[spelling])]}/scores"
        last = "Connection: close\r\n" if n == 5 else ""
        data += f"POST {path} HTTP/1.1\r\nHost: x\r\n{last}Content-Length: {len(one)}\r\n\r\n".encode() + one
    got = raw(api.port, data)
    assert [int(n) for n in re.findall(rb'"score":(\d+)', got)] == [1, 2, 3, 4, 5, 6]
    assert got.count(b"HTTP/1.1 202") == 6


def test_the_document_has_every_route_of_the_app(http: Http, document: dict[str, Any]) -> None:
    methods = {"get", "post", "put", "patch", "delete"}
    for path, operations in document["paths"].items():
        real = path.replace("{sid}", "nobody")
        for method in methods - set(operations):
            answer = http.ask(method.upper(), real, b"", JSON)
            assert answer.status == 405, (method, path, answer.status)
            assert set(answer.headers["allow"].replace(" ", "").lower().split(",")) - {"options", "head"} == set(
                operations
            )
        for method in operations:
            assert http.ask(method.upper(), real, b"{}" if method == "post" else None, JSON).status != 405
