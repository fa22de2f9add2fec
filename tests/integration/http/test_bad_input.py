"""Bad input: each kind its own clear 4xx, nothing written, other clients unharmed."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base, raw
from support.processes import Api
from support.waiting import eventually

from service.access.key_text import make_key

MIB = 1024 * 1024


def body(user: Any = "ada", delta: Any = 1, **more: Any) -> bytes:
    return json.dumps({"userId": user, "delta": delta, **more}).encode()


def number(text: str) -> bytes:
    return b'{"userId":"ada","delta":%b}' % text.encode()


BODIES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "malformed-json"),
    "not json": (b"userId=ada&delta=1", 400, "malformed-json"),
    "cut short": (b'{"userId":"ada","delta":1', 400, "malformed-json"),
    "something after it": (body() + b"x", 400, "malformed-json"),
    "two documents": (body() + body(), 400, "malformed-json"),
    "a comma too many": (b'{"userId":"ada","delta":1,}', 400, "malformed-json"),
    "not utf-8": (b'{"userId":"\xff","delta":1}', 400, "malformed-json"),
    "utf-16": (body().decode().encode("utf-16"), 400, "malformed-json"),
    "raw surrogate": (b'{"userId":"\xed\xa0\x80","delta":1}', 400, "malformed-json"),
    "not a number": (number("NaN"), 400, "malformed-json"),
    "infinity": (number("Infinity"), 400, "malformed-json"),
    "hexadecimal": (number("0x10"), 400, "malformed-json"),
    "leading zero": (number("01"), 400, "malformed-json"),
    "plus": (number("+1"), 400, "malformed-json"),
    "null": (b"null", 400, "invalid-body"),
    "list": (b"[]", 400, "invalid-body"),
    "string": (b'"ada"', 400, "invalid-body"),
    "number": (b"1", 400, "invalid-body"),
    "deep nesting": (b"[" * 100_000, 400, "invalid-body"),
    "deep nesting in an unknown field": (b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400, "invalid-body"),
    "no members": (b"{}", 400, "invalid-body"),
    "no user": (b'{"delta":1}', 400, "invalid-body"),
    "no delta": (b'{"userId":"ada"}', 400, "invalid-body"),
    "unknown field": (body(x=1), 400, "invalid-body"),
    "unknown field with a telling name": (body(**{"`$.delta`": 1}), 400, "invalid-body"),
    "wrong case": (b'{"userid":"ada","delta":1}', 400, "invalid-body"),
    "user is null": (body(None), 400, "invalid-user-id"),
    "user is a number": (body(5), 400, "invalid-user-id"),
    "user is a list": (body(["ada"]), 400, "invalid-user-id"),
    "user is empty": (body(""), 400, "invalid-user-id"),
    "user is too long": (body("x" * 129), 400, "invalid-user-id"),
    "user is too long in characters": (body("\U0001f600" * 129), 400, "invalid-user-id"),
    "user with NUL": (body("a\0b"), 400, "invalid-user-id"),
    "user with a newline at the end": (body("ada\n"), 400, "invalid-user-id"),
    "user with a tab": (body("a\tb"), 400, "invalid-user-id"),
    "user with escape": (body("a\x1b[31m"), 400, "invalid-user-id"),
    "user with delete": (body("a\x7f"), 400, "invalid-user-id"),
    "user with a C1 control": (body("a\x85"), 400, "invalid-user-id"),
    "delta is zero": (body(delta=0), 400, "invalid-delta"),
    "delta is minus zero": (number("-0"), 400, "invalid-delta"),
    "delta is null": (body(delta=None), 400, "invalid-delta"),
    "delta is true": (body(delta=True), 400, "invalid-delta"),
    "delta is a string": (body(delta="1"), 400, "invalid-delta"),
    "delta is a list": (body(delta=[1]), 400, "invalid-delta"),
    "delta is a float": (body(delta=1.5), 400, "invalid-delta"),
    "delta is a half": (number("0.5"), 400, "invalid-delta"),
    "delta is a fraction of many digits": (number("10.00000000000000000000000000001"), 400, "invalid-delta"),
    "delta is zero as a float": (number("0.0"), 400, "invalid-delta"),
    "delta is minus zero as a float": (number("-0.0"), 400, "invalid-delta"),
    "delta is zero with an exponent": (number("0e99999999999999999999"), 400, "invalid-delta"),
    "delta is a tiny float": (number("1e-400"), 400, "invalid-delta"),
    "delta is a tenth": (number("1e-1"), 400, "invalid-delta"),
    "delta is a float that a double does not hold": (number("9007199254740993.0"), 400, "invalid-delta"),
    "delta is a float beyond 2^53": (number("9007199254740994.0"), 400, "invalid-delta"),
    "delta is a large float": (number("1e300"), 400, "invalid-delta"),
    "delta is int64 as a float": (number("9223372036854775807.0"), 400, "invalid-delta"),
    "delta is a text of a float": (body(delta="10.0"), 400, "invalid-delta"),
    "delta ends in a point": (number("10."), 400, "malformed-json"),
    "delta begins with a point": (number(".5"), 400, "malformed-json"),
    "delta is a float with a leading zero": (number("010.0"), 400, "malformed-json"),
    "delta is a float, and the body is cut short": (b'{"userId":"ada","delta":10.0', 400, "malformed-json"),
    "delta is a float, and the user is empty": (b'{"delta":10.0,"userId":""}', 400, "invalid-user-id"),
    "delta is a float, and a field is unknown": (b'{"delta":10.0,"userId":"ada","x":1}', 400, "invalid-body"),
    "delta is no number, and the user is empty": (b'{"delta":"x","userId":""}', 400, "invalid-delta"),
    "delta is a huge float": (number("1e400"), 400, "invalid-delta"),
    "delta is above int64": (body(delta=2**63), 400, "invalid-delta"),
    "delta is below int64": (body(delta=-(2**63) - 1), 400, "invalid-delta"),
    "delta is above uint64": (body(delta=2**64), 400, "invalid-delta"),
    "delta has a thousand digits": (number("9" * 1000), 400, "invalid-delta"),
}
# Which of the two codes a lone surrogate gets is the parser's choice.
SURROGATES = {
    "high alone": b'{"userId":"a\\ud800","delta":1}',
    "low alone": b'{"userId":"\\udc00a","delta":1}',
    "wrong order": b'{"userId":"\\udc00\\ud800","delta":1}',
    "in an unknown field": b'{"userId":"a","delta":1,"\\ud800":1}',
}
MEDIA = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/problem+json",
    "application/jsonp",
    "*/*",
    "json",
]
PATHS = {
    "": 404,
    "/": 404,
    "/v1": 404,
    "/v1/seasons/x/leaderboard": 404,
    "/v1/seasons/x/leaderboard/bottom": 404,
    "/v1/seasons/x/scores/": 404,
    "/v1/seasons/a/b/scores": 404,
    "/v1/seasons/a%2Fb/scores": 404,
    "/v2/seasons/x/scores": 404,
    "/V1/seasons/x/scores": 404,
    "/readyz/": 404,
    "/etc/passwd": 404,
    "/../../etc/passwd": 404,
}
SEASONS = {
    "too long": "x" * 65,
    "too long in characters": "%F0%9F%98%80" * 65,
    "NUL": "a%00b",
    "newline": "a%0A",
    "escape": "%1B",
    "delete": "%7F",
    "C1 control": "%C2%85",
    "not UTF-8": "%FF",
    "half a character": "%C3",
    "surrogate": "%ED%A0%80",
}


def refused(answer: Answer, status: int, code: str | None = None) -> dict[str, Any]:
    """An answer of the right status in the form of RFC 9457, with the original contract's member."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert problem["status"] == status
    assert isinstance(problem["error"], str) and problem["error"] == problem["detail"] != ""
    assert problem["type"] == f"urn:leaderboard:problem:{problem['code']}"
    assert problem["title"]
    if code is not None:
        assert problem["code"] == code
    return problem


def live(api: Api) -> tuple[object, ...]:
    """How much there is; rows of ended periods do not count, since the janitor takes them away at any time."""
    return api.world.rows(
        "SELECT (SELECT count(*) FROM season), (SELECT max(period_id) FROM period), (SELECT count(*) FROM ledger), "
        "(SELECT count(*) FROM outbox), (SELECT count(*) FROM score JOIN season USING (period_id)), "
        "(SELECT sum(submissions) FROM score JOIN season USING (period_id))"
    )[0]


@pytest.fixture
def nothing_written(api: Api) -> Iterator[None]:
    """Not one row in any table, not one key in Redis, while the test runs."""
    world = api.world
    eventually(lambda: world.counts()["outbox"] == 0)
    keys = set(world.redis.scan_iter(match=f"{world.name}:*", count=1_000)) - {world.keys.poke, world.keys.held}
    before = live(api)
    yield
    assert live(api) == before
    assert set(world.redis.scan_iter(match=f"{world.name}:*", count=1_000)) - {world.keys.poke, world.keys.held} == keys


@pytest.mark.parametrize("name", BODIES)
def test_bodies(http: Http, season: str, nothing_written: None, name: str) -> None:
    data, status, code = BODIES[name]
    refused(http.post_raw(season, data), status, code)


@pytest.mark.parametrize("name", SURROGATES)
def test_lone_surrogates(http: Http, season: str, nothing_written: None, name: str) -> None:
    problem = refused(http.post_raw(season, SURROGATES[name]), 400)
    assert problem["code"] in ("malformed-json", "invalid-user-id", "invalid-body")


@pytest.mark.parametrize("media", MEDIA)
def test_content_types(http: Http, season: str, nothing_written: None, media: str) -> None:
    refused(http.post_raw(season, body(), {"Content-Type": media}), 415, "unsupported-media-type")


@pytest.mark.parametrize("name", SEASONS)
def test_season_ids(http: Http, nothing_written: None, name: str) -> None:
    at = f"/v1/seasons/{SEASONS[name]}"
    refused(http.ask("POST", f"{at}/scores", body(), JSON), 400, "invalid-season-id")
    refused(http.get(f"{at}/leaderboard/top"), 400, "invalid-season-id")
    refused(http.get(f"{at}/leaderboard/rank?userId=ada"), 400, "invalid-season-id")
    refused(http.get(f"{at}/leaderboard/around?userId=ada"), 400, "invalid-season-id")
    refused(http.ask("DELETE", at), 400, "invalid-season-id")


def test_an_empty_season_id(http: Http, nothing_written: None) -> None:
    for method, path in (
        ("POST", "/v1/seasons//scores"),
        ("GET", "/v1/seasons//leaderboard/top"),
        ("DELETE", "/v1/seasons/"),
    ):
        answer = http.ask(method, path, body() if method == "POST" else None, JSON)
        assert refused(answer, answer.status)["code"] in ("invalid-season-id", "not-found")
        assert answer.status in (400, 404)


@pytest.mark.parametrize("path", PATHS)
def test_unknown_paths(api: Api, http: Http, nothing_written: None, path: str) -> None:
    refused(http.get(path or "/"), PATHS[path], "not-found")
    refused(http.ask("POST", path or "/", body(), JSON), PATHS[path], "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/seasons/x/scores", "POST"),
        ("PUT", "/v1/seasons/x/scores", "POST"),
        ("PATCH", "/v1/seasons/x/scores", "POST"),
        ("POST", "/v1/seasons/x/leaderboard/top", "GET"),
        ("DELETE", "/v1/seasons/x/leaderboard/rank", "GET"),
        ("GET", "/v1/seasons/x/scores/batch", "POST"),
        ("POST", "/v1/seasons/x", "DELETE"),
        ("POST", "/healthz", "GET"),
        ("TRACE", "/v1/seasons/x", "DELETE"),
    ],
)
def test_wrong_methods(http: Http, nothing_written: None, method: str, path: str, allowed: str) -> None:
    answer = http.ask(method, path, body() if method in ("POST", "PUT", "PATCH") else None, JSON)
    refused(answer, 405, "method-not-allowed")
    assert allowed in answer.headers["allow"]


def test_an_unknown_method(api: Api, nothing_written: None) -> None:
    got = raw(api.port, b"FROB /v1/seasons/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405")), got


OUT_OF_BOUNDS = [
    "",
    "-1",
    "1.0",
    "1e1",
    "five",
    "0x1",
    "%2B1",
    "%201",
    "1%20",
    "9" * 30,
    "%D9%A1",
    "1&{}=2",
    "null",
    "NaN",
]


@pytest.mark.parametrize("raw_value", [*OUT_OF_BOUNDS, "0", "1001"])
def test_limits(http: Http, nothing_written: None, raw_value: str) -> None:
    refused(http.get(f"/v1/seasons/x/leaderboard/top?limit={raw_value.format('limit')}"), 400, "invalid-limit")


@pytest.mark.parametrize("raw_value", [*OUT_OF_BOUNDS, "101"])
def test_ranges(http: Http, nothing_written: None, raw_value: str) -> None:
    query = f"userId=ada&range={raw_value.format('range')}"
    refused(http.get(f"/v1/seasons/x/leaderboard/around?{query}"), 400, "invalid-range")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?userId=",
        "?userid=ada",
        "?userId=a&userId=b",
        "?userId=%00",
        "?userId=a%0A",
        "?userId=%FF",
        "?userId=" + "x" * 129,
    ],
)
@pytest.mark.parametrize("read", ["rank", "around"])
def test_users_of_reads(http: Http, nothing_written: None, read: str, query: str) -> None:
    refused(http.get(f"/v1/seasons/x/leaderboard/{read}{query}"), 400, "invalid-user-id")


def test_a_body_of_just_one_mebibyte_is_read(http: Http, season: str, nothing_written: None) -> None:
    data = b'{"x":"' + b"y" * (MIB - 8) + b'"}'
    assert len(data) == MIB
    refused(http.post_raw(season, data), 400, "invalid-body")


def test_a_body_over_one_mebibyte(api: Api, http: Http, season: str, nothing_written: None) -> None:
    data = b'{"x":"' + b"y" * (MIB - 7) + b'"}'
    assert len(data) == MIB + 1
    refused(http.post_raw(season, data), 413, "body-too-large")
    with api.client() as again:
        assert again.get("/livez").status == 200


def test_a_body_that_only_claims_to_be_large(api: Api, season: str, nothing_written: None) -> None:
    head = f"POST {base(season)}/scores HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n"
    got = raw(api.port, head.encode() + b"{")
    assert got.startswith(b"HTTP/1.1 413"), got
    assert b'"body-too-large"' in got


def test_a_large_body_in_chunks(api: Api, season: str, nothing_written: None) -> None:
    head = f"POST {base(season)}/scores HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (MIB // 2, b" " * (MIB // 2))
    got = raw(api.port, head.encode() + chunk * 3 + b"0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413"), got[:200]


@pytest.mark.parametrize(
    "head",
    [
        b"garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/seasons/x/scores HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /v1/seasons/x/scores HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/seasons/x/scores HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /livez HTTP/1.1\r\nno colon here\r\n\r\n",
    ],
)
def test_bytes_that_are_no_http_harm_no_other_client(api: Api, http: Http, nothing_written: None, head: bytes) -> None:
    got = raw(api.port, head)
    assert got == b"" or got.startswith(b"HTTP/1.1 4"), got
    assert http.get("/livez").status == 200


def test_a_sum_that_would_leave_64_bits(http: Http, season: str, api: Api) -> None:
    assert http.post(season, "rich", 2**63 - 1).status == 202
    assert http.post(season, "poor", -(2**63)).status == 202
    before = api.world.counts()
    refused(http.post(season, "rich", 1), 409, "score-out-of-range")
    refused(http.post(season, "poor", -1), 409, "score-out-of-range")
    refused(http.post(season, "rich", 2**63 - 1), 409, "score-out-of-range")
    after = api.world.counts()
    assert (after["ledger"], after["score"]) == (before["ledger"], before["score"])
    assert http.post(season, "rich", -1).json["score"] == 2**63 - 2


def test_bad_and_good_ones_interleaved(api: Api, season: str) -> None:
    """Many clients at once, so that batches are mixed: every good one counts once, every bad one is refused alone."""
    rng = random.Random(7)
    bad = [(data, status) for data, status, _ in BODIES.values() if len(data) < 5_000]
    bad += [(data, 400) for data in SURROGATES.values()]
    with api.client() as http:
        assert http.post(season, "full", 2**63 - 1).status == 202
    bad += [(body("full", 1), 409)] * len(bad)
    totals: dict[str, int] = {}
    wrong: list[object] = []
    lock = threading.Lock()
    start = threading.Barrier(8)

    def client(seed: int) -> None:
        rng = random.Random(seed)
        with api.client() as http:
            start.wait(20)
            for _ in range(60):
                if rng.random() < 0.5:
                    data, expected = rng.choice(bad)
                    answer = http.post_raw(season, data)
                    good = answer.status == expected and answer.kind == "application/problem+json"
                else:
                    user, delta = f"u{rng.randrange(5)}", rng.choice([-3, 1, 2, 10])
                    answer = http.post(season, user, delta)
                    good = answer.status == 202
                    with lock:
                        totals[user] = totals.get(user, 0) + delta
                if not good:
                    wrong.append((answer.status, answer.body))

    threads = [threading.Thread(target=client, args=(rng.random(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert {user: score for user, score, _ in api.world.expected(season)} == {**totals, "full": 2**63 - 1}
    eventually(lambda: api.world.board(season) == api.world.expected(season))


def test_an_answer_quotes_little_and_no_credential(http: Http, season: str) -> None:
    """An unknown member's name comes back in the error's text: once 900 kB of it, twice."""
    key, _ = make_key()
    for name in ("x" * 900_000, key, f"{key} {'x' * 1_000}", "x" * 250 + key):
        for path, body in (
            ("scores", {"userId": "ada", "delta": 1, name: 1}),
            ("scores/batch", {"submissions": [{"userId": "ada", "delta": 1}], name: 1}),
        ):
            answer = http.ask("POST", f"{base(season)}/{path}", json.dumps(body).encode(), JSON)
            assert (answer.status, answer.json["code"]) == (400, "invalid-body")
            assert "unknown field `" in answer.json["detail"] and answer.json["error"] == answer.json["detail"]
            assert len(answer.body) < 1_000 and key[14:40].encode() not in answer.body
