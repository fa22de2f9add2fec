"""Origins of web pages: which page may call the API from a browser, and which may change something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.http import Http, base, raw
from support.processes import Api, serving
from support.world import World, world_on

from ctl.embedded import Embedded

ORIGIN = "https://play.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}
JSON = {"Content-Type": "application/json"}
BODY = b'{"userId":"ada","delta":1}'


@pytest.fixture(scope="session", params=["keys", "open"])
def shared(servers: Embedded, request: pytest.FixtureRequest) -> Iterator[Api]:
    """A server that two origins may use."""
    with (
        world_on(servers, redis_db=2) as world,
        serving(
            world, LEADERBOARD_CORS_ORIGINS=f"{ORIGIN}, http://localhost:5173", LEADERBOARD_AUTH=request.param
        ) as api,
    ):
        yield api


@pytest.fixture
def pages(shared: Api) -> Iterator[Http]:
    """A connection to it."""
    with shared.client() as http:
        yield http


def allowed(headers: dict[str, str]) -> str | None:
    return headers.get("access-control-allow-origin")


@pytest.mark.parametrize("path", ["/v1/seasons/x/scores", "/v1/seasons/x%20y/scores", "/v1/keys", "/nowhere"])
def test_preflights(pages: Http, path: str) -> None:
    """They come without credentials, whatever the request to come will need."""
    answer = pages.ask("OPTIONS", path, headers={"Origin": ORIGIN, **PREFLIGHT})
    assert answer.status == 204
    assert allowed(answer.headers) == ORIGIN
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert {"Authorization", "If-None-Match"} <= set(answer.headers["access-control-allow-headers"].split(", "))
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers
    for foreign in ("https://evil.example", "http://play.example", "https://play.example.evil.example", "null"):
        refused = pages.ask("OPTIONS", path, headers={"Origin": foreign, **PREFLIGHT})
        assert allowed(refused.headers) is None
        assert "access-control-allow-methods" not in refused.headers


@pytest.mark.parametrize("name", ["x", "x%20y"])
def test_answers_and_errors_on_both_paths(pages: Http, name: str) -> None:
    for path in (f"/v1/seasons/{name}/leaderboard/top", f"/v1/seasons/{name}/leaderboard/rank?userId=nobody", "/livez"):
        assert allowed(pages.ask("GET", path, headers={"Origin": ORIGIN}).headers) == ORIGIN
        assert "ETag" in pages.ask("GET", path, headers={"Origin": ORIGIN}).headers["access-control-expose-headers"]
        assert allowed(pages.ask("GET", path, headers={"Origin": "https://evil.example"}).headers) is None
    posted = pages.ask("POST", f"/v1/seasons/{name}/scores", b"{}", {"Origin": ORIGIN, **JSON})
    assert posted.status in (400, 401) and allowed(posted.headers) == ORIGIN


@pytest.mark.parametrize("origin", [None, ORIGIN, "https://evil.example"])
def test_every_answer_varies_by_origin(pages: Http, origin: str | None) -> None:
    """Otherwise a cache in front gives a page the answer to a request without `Origin`, which the page may not read."""
    headers = {} if origin is None else {"Origin": origin}
    asked = [("GET", path) for path in ("/livez", "/openapi.json", "/nowhere", "/v1/keys", "/v1/seasons/x/scores")]
    for name in ("x", "x%20y"):
        asked += [("GET", f"/v1/seasons/{name}/leaderboard/{path}") for path in ("top", "rank?userId=ada", "rank")]
        asked += [("POST", f"/v1/seasons/{name}/scores"), ("HEAD", f"/v1/seasons/{name}/leaderboard/top")]
    asked += [("OPTIONS", "/livez"), ("OPTIONS", "*")]
    for method, path in asked:
        answer = pages.ask(method, path, BODY if method == "POST" else None, headers)
        assert answer.headers.get("vary") == "Origin", (method, path)
        assert allowed(answer.headers) == (ORIGIN if origin == ORIGIN else None)
    for data in (b"nonsense\r\n\r\n", b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n"):
        assert b"\r\nvary: Origin\r\n" in raw(pages.port, data)


@pytest.mark.parametrize("name", ["x", "x%20y"])
def test_foreign_pages_change_nothing_on_an_open_server(world: World, name: str) -> None:
    """A browser sends such a POST for any page without a preflight: it has no Content-Type and no header of its own."""
    with serving(world, LEADERBOARD_CORS_ORIGINS=ORIGIN, LEADERBOARD_AUTH="open") as api, api.client() as http:
        path = f"/v1/seasons/{name}"
        for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1", ORIGIN.upper(), ""):
            for method, where in (("POST", "/scores"), ("POST", "/scores/batch"), ("DELETE", "")):
                answer = http.ask(method, path + where, BODY, {"Origin": origin})
                assert (answer.status, answer.json["code"]) == (403, "origin-forbidden")
            assert http.ask("GET", f"{path}/leaderboard/top", headers={"Origin": origin}).status != 403
        # A name that leads here is the origin of its own page, too (DNS rebinding).
        for other in (
            f"evil.example:{api.port}",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "2130706433",
            "x:y",
        ):
            rebound = {"Origin": f"http://{other}", "Host": other}
            assert http.ask("POST", f"{path}/scores", BODY, rebound).status in (400, 403)
        assert world.value("SELECT count(*) FROM ledger") == 0
        for other in (f"127.0.0.1:{api.port}", f"localhost:{api.port}", f"[::1]:{api.port}"):
            own = {"Origin": f"http://{other}", "Host": other}
            assert http.ask("POST", f"{path}/scores", BODY, own).status == 202
        assert http.ask("POST", f"{path}/scores", BODY, {"Origin": ORIGIN}).status == 202
        assert http.ask("POST", f"{path}/scores", BODY).status == 202


def test_where_a_credential_is_needed_the_page_has_to_have_it(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.key('submit')}", "Origin": "https://evil.example", **JSON}
    with serving(world, LEADERBOARD_AUTH="keys") as api, api.client() as http:
        assert http.ask("POST", f"{base('x')}/scores", BODY, headers).status == 202
        assert http.ask("POST", f"{base('x')}/scores", BODY, {"Origin": "https://evil.example"}).status == 401


def test_it_is_off_by_default(http: Http) -> None:
    answer = http.ask("GET", "/livez", headers={"Origin": ORIGIN})
    assert answer.status == 200 and allowed(answer.headers) is None
    assert "vary" not in answer.headers
    assert allowed(http.ask("OPTIONS", "/livez", headers={"Origin": ORIGIN, **PREFLIGHT}).headers) is None
