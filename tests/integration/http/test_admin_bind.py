"""The bind for administrators: operations of administration are nowhere else."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support.http import JSON, Http, base, free_port
from support.processes import serving
from support.world import World

BODY = b'{"userId":"ada","delta":1}'


@pytest.mark.parametrize("auth", ["keys", "open"])
def test_what_is_for_administrators_is_on_their_bind_only(world: World, auth: str) -> None:
    port = free_port()
    with (
        serving(world, LEADERBOARD_ADMIN_BIND=f"127.0.0.1:{port}", LEADERBOARD_AUTH=auth) as api,
        api.client() as public,
        Http(port) as admin,
    ):
        for method, path in (
            ("DELETE", "/v1/seasons/x"),
            ("PUT", "/v1/seasons/x"),
            ("PATCH", "/v1/seasons/x"),
            ("GET", "/v1/keys"),
            ("DELETE", "/v1/keys/0123456789"),
        ):
            refused = public.ask(method, path)
            assert (refused.status, refused.json["code"]) == (404, "not-found")
            assert method not in public.ask("OPTIONS", path).headers.get("allow", "")
            assert method != "GET" or public.ask("HEAD", path).status == 404
            assert method in admin.ask("OPTIONS", path).headers["allow"]
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
