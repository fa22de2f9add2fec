"""What the door does when it is told to: origins of web pages, and a bind for administrators."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http import Http, base, free_port
from support.processes import Api, serving
from support.world import World

ORIGIN = "https://play.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}
JSON = {"Content-Type": "application/json"}
BODY = b'{"userId":"ada","delta":1}'


@pytest.fixture(params=["keys", "open"])
def pages(world: World, request: pytest.FixtureRequest) -> Iterator[Http]:
    """A server that two origins may use."""
    with (
        serving(
            world, LEADERBOARD_CORS_ORIGINS=f"{ORIGIN}, http://localhost:5173", LEADERBOARD_AUTH=request.param
        ) as api,
        api.client() as http,
    ):
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
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers
    for stranger in ("https://evil.example", "http://play.example", "https://play.example.evil.example", "null"):
        refused = pages.ask("OPTIONS", path, headers={"Origin": stranger, **PREFLIGHT})
        assert allowed(refused.headers) is None
        assert "access-control-allow-methods" not in refused.headers


@pytest.mark.parametrize("name", ["x", "x%20y"])
def test_answers_and_errors_in_both_lanes(pages: Http, name: str) -> None:
    for path in (f"/v1/seasons/{name}/leaderboard/top", f"/v1/seasons/{name}/leaderboard/rank?userId=nobody", "/livez"):
        assert allowed(pages.ask("GET", path, headers={"Origin": ORIGIN}).headers) == ORIGIN
        assert allowed(pages.ask("GET", path, headers={"Origin": "https://evil.example"}).headers) is None
    posted = pages.ask("POST", f"/v1/seasons/{name}/scores", b"{}", {"Origin": ORIGIN, **JSON})
    assert posted.status in (400, 401) and allowed(posted.headers) == ORIGIN


@pytest.mark.parametrize("name", ["x", "x%20y"])
def test_pages_of_strangers_change_nothing_on_an_open_server(world: World, name: str) -> None:
    """A browser sends such a POST for any page and asks nobody: it has no Content-Type and no header of its own."""
    with serving(world, LEADERBOARD_CORS_ORIGINS=ORIGIN, LEADERBOARD_AUTH="open") as api, api.client() as http:
        path = f"/v1/seasons/{name}"
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{api.port}", ORIGIN.upper(), ""):
            for method, where in (("POST", "/scores"), ("POST", "/scores/batch"), ("DELETE", "")):
                answer = http.ask(method, path + where, BODY, {"Origin": origin})
                assert (answer.status, answer.json["code"]) == (403, "origin-forbidden")
            assert http.ask("GET", f"{path}/leaderboard/top", headers={"Origin": origin}).status != 403
        assert world.value("SELECT count(*) FROM ledger") == 0
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
    assert allowed(http.ask("OPTIONS", "/livez", headers={"Origin": ORIGIN, **PREFLIGHT}).headers) is None


@pytest.mark.parametrize("auth", ["keys", "open"])
def test_what_is_for_administrators_is_on_their_bind_only(world: World, auth: str) -> None:
    port = free_port()
    with (
        serving(world, LEADERBOARD_ADMIN_BIND=f"127.0.0.1:{port}", LEADERBOARD_AUTH=auth) as api,
        api.client() as public,
        Http(port) as admin,
    ):
        for method, path in (("DELETE", "/v1/seasons/x"), ("GET", "/v1/keys"), ("DELETE", "/v1/keys/0123456789")):
            assert public.ask(method, path).status == 404
            assert public.ask(method, path).json["code"] == "not-found"
            told = admin.ask(method, path)
            assert told.status == 401 if auth == "keys" else told.json.get("code") != "not-found"
        # Everything else is answered on both.
        for http in (public, admin):
            assert http.get("/livez").status == 200
            assert http.top("x").status != 404
        assert world.rows("SELECT FROM season WHERE season_id = 'x'") == []


def test_the_bind_for_administrators_may_be_a_unix_socket(world: World, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with serving(world, LEADERBOARD_ADMIN_BIND=f"unix:{path}", LEADERBOARD_AUTH="open") as api, api.client() as public:
        public.ask("POST", f"{base('x')}/scores", BODY, JSON)
        assert public.delete("x").status == 404
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(20)
            admin.connect(str(path))
            admin.sendall(b"DELETE /v1/seasons/nobody HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert admin.recv(65536).startswith(b"HTTP/1.1 200")


def test_no_key_reaches_the_log(world: World) -> None:
    with serving(world, LEADERBOARD_LOG_LEVEL="debug", LEADERBOARD_AUTH="keys") as api, api.client() as http:
        secret = "Zq3" * 12 + "Zq"
        for credential in (f"Bearer lb_0123456789_{secret}", f"Bearer {secret}", f"Basic {secret}"):
            for path in ("/v1/seasons/x/leaderboard/top", "/v1/seasons/x%20y/leaderboard/top", "/v1/keys"):
                answer = http.ask("GET", path, headers={"Authorization": credential})
                assert answer.status == 401 and secret not in answer.body.decode() + str(answer.headers)
        assert isinstance(api, Api) and secret not in api.command.text()
