"""HEAD is GET without its body, and OPTIONS tells the methods of a path: on every operation, on real servers."""

from __future__ import annotations

import csv
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest
from support.absent import absent
from support.http import Answer, Http, bearer, free_port, raw
from support.operations import OTHER, OWN, SPELLING, books, encoded, request_of
from support.processes import Api, serving
from support.relays import carrying
from support.waiting import eventually
from support.world import World

from service.contract.operation import Operation
from service.routes import OPERATIONS

OF_THE_MOMENT = ("getStatus", "getTraffic")
"""Operations whose answers are of other figures each time, and so perhaps of another length."""

GETS = pytest.mark.parametrize("op", [op for op in OPERATIONS if op.method == "GET"], ids=lambda op: op.name)


@pytest.fixture
def client(guarded: Api) -> Iterator[Http]:
    with guarded.client() as http:
        yield http


@pytest.fixture(scope="session")
def keys(guarded: Api) -> list[str]:
    """A key for everything, one without the right scope for most, one of another season, and none."""
    world = guarded.world
    made = [world.key("submit"), world.key("read", seasons=[OTHER]), "lb_nonsense", world.key()]
    guarded.until_known(made[-1])
    return made


def told(answer: Answer, *more: str) -> tuple[int, dict[str, str]]:
    """Status and headers, but for those that differ between any two answers, and those of a body (RFC 9110, 9.3.2)."""
    different = ("date", "x-request-id", "transfer-encoding", *more)
    return answer.status, {k: v for k, v in answer.headers.items() if k not in different}


@GETS
@SPELLING
def test_head_is_get_without_its_body(
    client: Http, keys: list[str], op: Operation, spelt: Callable[[str], str]
) -> None:
    _, path, _ = request_of(op, spelt(OWN))
    for headers in ({}, *map(bearer, keys)):
        got, head = (client.ask(method, path, None, headers) for method in ("GET", "HEAD"))
        if op.name in OF_THE_MOMENT and got.status == 200:
            assert head.body == b"" and told(head, "content-length") == told(got, "content-length")
            assert int(head.headers["content-length"]) > 0
            continue
        assert head.body == b"" and told(head) == told(got), headers
        # A stream has no length.
        assert got.body and int(head.headers.get("content-length", len(got.body))) == len(got.body)
    assert client.ask("HEAD", path).status == (401 if op.scope else 200)


def test_head_has_the_length_of_what_get_shows(world: World) -> None:
    world.submit(*(("s", f"player {n}", n + 1) for n in range(50)))
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        for path in ("top?limit=50", "top", "rank?userId=player+3", "around?userId=player+3", "rank?userId=nobody"):
            got, head = (http.ask(method, f"/v1/seasons/s/leaderboard/{path}") for method in ("GET", "HEAD"))
            assert head.status == got.status and head.body == b""
            assert int(head.headers["content-length"]) == len(got.body)
        # No body is on the wire: the next answer begins right behind the head.
        ask = b"%b /livez HTTP/1.1\r\nHost: x\r\nConnection: %b\r\n\r\n"
        both = raw(api.port, ask % (b"HEAD", b"keep-alive") + ask % (b"GET", b"close"))
        assert both.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200")


def test_head_costs_what_get_costs(world: World) -> None:
    key = world.key("read")
    limits = {
        "LEADERBOARD_LIMIT_KEY": "4",
        "LEADERBOARD_LIMIT_WINDOW_S": "3600",
        "LEADERBOARD_LIMIT_DEADLINE_MS": "5000",
    }
    with carrying(world), serving(world, "/readyz", LEADERBOARD_AUTH="keys", **limits) as api, api.client() as http:
        path = "/v1/seasons/s/leaderboard/top"
        found = [http.ask(method, path, None, bearer(key)) for method in ("HEAD", "GET") * 3]
        assert [answer.status for answer in found] == [200] * 4 + [429] * 2
        assert all("ratelimit" in answer.headers for answer in found)


@pytest.mark.parametrize("path", sorted({op.path for op in OPERATIONS}))
@SPELLING
def test_options_tells_the_methods_and_does_nothing(
    guarded: Api, client: Http, path: str, spelt: Callable[[str], str]
) -> None:
    offered = {op.method for op in OPERATIONS if op.path == path} | {"OPTIONS"}
    offered |= {"HEAD"} if "GET" in offered else set()
    before = books(guarded.world)
    for headers in ({}, bearer("lb_nonsense"), {"Origin": "https://play.example"}):
        answer = client.ask("OPTIONS", path.replace("{sid}", spelt(OWN)).replace("{id}", "0000000000"), None, headers)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
        assert set(answer.headers["allow"].split(", ")) == offered
    assert books(guarded.world) == before


@pytest.mark.parametrize("auth", ["keys", "open"])
def test_options_of_the_server(world: World, auth: str) -> None:
    with serving(world, LEADERBOARD_AUTH=auth) as api, api.client() as http:
        for target in ("*", "/"):
            answer = http.ask("OPTIONS", target)
            assert answer.status == 200
            methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
            assert set(answer.headers["allow"].split(", ")) == {*methods, "OPTIONS"}
            for method in methods:
                assert http.ask(method, target).status == 404
        for target in ("/nowhere", "//", "/v1", "/%2F", f"/{encoded('livez')}", "/livez/"):
            assert http.ask("OPTIONS", target).status == 404, target


HAPROXY = """
global
    stats socket {stats} mode 600 level operator
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    timeout check 10s
frontend front
    bind 127.0.0.1:{port}
    default_backend api
backend api
    {check}
    server one 127.0.0.1:{api} check inter 5s fastinter 100ms fall 1 rise 1
"""


@pytest.mark.parametrize(
    "check",
    ["option httpchk", "option httpchk OPTIONS *", "option httpchk HEAD /livez", "option httpchk HEAD /readyz"],
)
def test_haproxy_takes_the_server_for_alive(guarded: Api, tmp_path: Path, check: str) -> None:
    """Its plain check is `OPTIONS / HTTP/1.0`."""
    haproxy = which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if haproxy is None:
        absent("haproxy is not installed")
    config, stats, port = tmp_path / "haproxy.cfg", tmp_path / "stats", free_port()
    config.write_text(HAPROXY.format(stats=stats, port=port, check=check, api=guarded.port))
    process = subprocess.Popen([haproxy, "-db", "-f", str(config)])
    try:
        found = eventually(lambda: checked(stats))
        assert found["check_status"] == "L7OK" and found["status"].startswith("UP"), found
        with Http(port) as http:
            assert http.get("/livez").status == 200
    finally:
        process.terminate()
        process.wait(20)


def checked(stats: Path) -> dict[str, str] | None:
    """HAProxy's row about the server, as soon as a check of it has ended."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(stats))
        except (FileNotFoundError, ConnectionRefusedError):  # it is bound first, and then it listens
            return None
        asking.sendall(b"show stat\n")
        got = b""
        while piece := asking.recv(65_536):
            got += piece
    rows = csv.DictReader(got.decode().removeprefix("# ").splitlines())
    (row,) = (row for row in rows if row["svname"] == "one")
    return row if row["check_status"] not in ("", "INI") and not row["check_status"].startswith("*") else None
