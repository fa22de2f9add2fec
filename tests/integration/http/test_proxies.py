"""HAProxy, nginx and Caddy as docs/ops/proxies.md configures them, in front of the real API, over TLS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from typing import Final

import pytest
from support.absent import absent
from support.fronts import KINDS, Front, front
from support.http import JSON, base
from support.processes import Api, serving
from support.proxy import Proxy
from support.relays import carrying
from support.waiting import eventually
from support.world import World

EVERY = pytest.mark.parametrize("kind", KINDS)
CHECKING = pytest.mark.parametrize("kind", ["haproxy", "caddy"])
"""Those that ask /readyz themselves."""
LONGEST: Final = 2**63 - 1


class Host:
    """An API host as the proxy reaches it: a network that fails on demand, and the bytes on their way to the API."""

    def __init__(self, port: int) -> None:
        self.seen: list[bytes] = []
        self.network = Proxy(("127.0.0.1", port), watch=self.seen.append)

    def requests(self, start: bytes) -> int:
        return sum(piece.startswith(start) for piece in list(self.seen))


@pytest.fixture
def hosts(api: Api) -> Iterator[tuple[Host, Host]]:
    """Two API hosts: two ways to one API."""
    made = Host(api.port), Host(api.port)
    yield made
    for host in made:
        host.network.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, kind: str, directory: Path, hosts: tuple[Host, Host], **changes: str) -> Front:
    one, other = hosts
    return stack.enter_context(front(kind, directory, one.network.port, other.network.port, changes))


@EVERY
def test_a_conversation(kind: str, hosts: tuple[Host, Host], stack: ExitStack, tmp_path: Path, season: str) -> None:
    name = f"{season} ä+%&?;"
    with start(stack, kind, tmp_path, hosts).client() as client:
        assert client.post(name, "a+b &c", LONGEST).json["score"] == LONGEST
        assert client.post(name, "ó", -LONGEST).json["score"] == -LONGEST
        eventually(lambda: len(client.top(name).json["items"]) == 2)
        assert client.rank(name, "a+b &c").json["score"] == LONGEST
        around = client.around(name, "ó", 1).json["items"]
        assert [(item["rank"], item["score"]) for item in around] == [(1, LONGEST), (2, -LONGEST)]
        refused = client.post(name, "ada", 0)
        assert (refused.status, refused.kind) == (400, "application/problem+json")
        assert client.rank(name, "nobody").json["code"] == "player-not-found"
        assert client.delete(name).status == 200
        assert client.top(name).json["items"] == []
        # One connection of the client, and connections to the API that stay open.
        assert all(b"HTTP/1.1\r\n" in piece for host in hosts for piece in host.seen if piece.startswith(b"POST"))
        assert not any(b"onnection: close" in piece for host in hosts for piece in host.seen if b"/v1/" in piece)


@EVERY
def test_http_2(kind: str, hosts: tuple[Host, Host], stack: ExitStack, tmp_path: Path, season: str) -> None:
    curl = which("curl")
    if curl is None:
        absent("curl is not installed")
    made = start(stack, kind, tmp_path, hosts)
    words = [curl, "-sS", "--http2", "--cacert", str(tmp_path / "server.pem"), "-w", " %{http_version} %{http_code}"]
    body = json.dumps({"userId": "ada", "delta": LONGEST})
    sent = ["-H", "Content-Type: application/json", "-d", body, f"https://127.0.0.1:{made.port}{base(season)}/scores"]
    answer, version, status = subprocess.check_output([*words, *sent], text=True, timeout=60).rsplit(" ", 2)
    assert (json.loads(answer)["score"], version, status) == (LONGEST, "2", "202")


@EVERY
def test_a_batch_of_nearly_four_mebibytes_passes(
    kind: str, hosts: tuple[Host, Host], stack: ExitStack, tmp_path: Path, season: str
) -> None:
    items = [{"userId": f"{n:05}" + "é" * 123, "delta": 1, "submissionId": f"{n:05}" + "k" * 245} for n in range(4_000)]
    body = json.dumps({"submissions": items}, ensure_ascii=True).encode()
    assert 3.9 < len(body) / 2**20 < 4
    with start(stack, kind, tmp_path, hosts).client() as client:
        answer = client.ask("POST", f"{base(season)}/scores/batch", body, JSON)
        assert answer.status == 200
        assert [result["status"] for result in answer.json["results"]] == [202] * 4_000


@EVERY
def test_headers_on_their_way(
    kind: str, hosts: tuple[Host, Host], stack: ExitStack, tmp_path: Path, season: str
) -> None:
    headers = {
        **JSON,
        "Idempotency-Key": '"match 7"',
        "Authorization": "Bearer lb_x",
        "X-Request-Id": "mine-1",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "gopher",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    body = json.dumps({"userId": "ada", "delta": 5}).encode()
    with start(stack, kind, tmp_path, hosts).client() as client:
        answers = [client.ask("POST", f"{base(season)}/scores", body, headers) for _ in range(2)]
    assert [(answer.status, answer.json["score"]) for answer in answers] == [(202, 5)] * 2, "the key came through"
    assert answers[0].headers["x-request-id"] == "mine-1"
    (piece, _) = [piece for host in hosts for piece in host.seen if piece.startswith(b"POST")]
    lines = {line.lower() for line in piece.partition(b"\r\n\r\n")[0].split(b"\r\n")}
    assert {b"x-forwarded-for: 127.0.0.1", b"x-forwarded-proto: https", b"authorization: bearer lb_x"} <= lines
    assert b"203.0.113.9" not in piece and b"gopher" not in piece and b"traceparent" not in piece.lower()


@EVERY
def test_a_submission_is_never_sent_twice(
    kind: str, hosts: tuple[Host, Host], stack: ExitStack, tmp_path: Path, season: str
) -> None:
    with start(stack, kind, tmp_path, hosts).client() as client:
        for host in hosts:
            host.network.lose_reply(lambda reply: b" 202 " in reply)
        answer = client.post(season, "ada", 7)
        assert answer.status in (502, 504) and answer.kind != "application/problem+json"
        for host in hosts:
            host.network.disarm()
        assert sum(host.requests(b"POST") for host in hosts) == 1
        assert client.post(season, "ada", 1).json["score"] == 8


@EVERY
def test_a_host_that_refuses_connections_is_passed_over(
    kind: str, hosts: tuple[Host, Host], stack: ExitStack, tmp_path: Path, season: str
) -> None:
    hosts[1].network.close()
    with start(stack, kind, tmp_path, hosts).client() as client:
        answers = [client.post(season, "ada", 1) for _ in range(40)]
        assert [answer.json["score"] for answer in answers] == [*range(1, 41)]


@pytest.mark.walk
@CHECKING
def test_a_host_that_is_not_ready_gets_no_requests(
    kind: str, world: World, postgres_proxy: Proxy, stack: ExitStack, tmp_path: Path
) -> None:
    database = world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    stack.enter_context(carrying(world))
    good = stack.enter_context(serving(world, "/readyz"))
    other = stack.enter_context(serving(world, "/readyz", DATABASE_URL=database))
    hosts = Host(good.port), Host(other.port)
    for host in hosts:
        stack.callback(host.network.close)
    with start(stack, kind, tmp_path, hosts).client() as client:

        def both_get_requests() -> bool:
            before = [host.requests(b"POST") for host in hosts]
            assert {client.post("s", "ada", 1).status for _ in range(8)} <= {202, 503}
            return all(host.requests(b"POST") > count for host, count in zip(hosts, before, strict=True))

        eventually(both_get_requests)
        postgres_proxy.cut()
        eventually(lambda: {client.post("s", "ada", 1).status for _ in range(20)} == {202})
        before = hosts[1].requests(b"POST")
        assert {client.post("s", "ada", 1).status for _ in range(20)} == {202}
        assert hosts[1].requests(b"POST") == before
        postgres_proxy.open()
        eventually(both_get_requests)


@EVERY
def test_only_the_api_is_shown(kind: str, hosts: tuple[Host, Host], stack: ExitStack, tmp_path: Path) -> None:
    with start(stack, kind, tmp_path, hosts).client() as client:
        assert [client.get(path).status for path in ("/livez", "/openapi.json")] == [200, 200]
        assert [client.get(path).status for path in ("/readyz", "/healthz", "/", "/metrics")] == [404] * 4
        seen = b"".join(piece for host in hosts for piece in host.seen)
        assert b"/metrics" not in seen


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("haproxy", {"gt 5000": "gt 5"}), ("nginx", {"rate=500r/s": "rate=1r/m", "burst=1000": "burst=5"})],
)
def test_a_flood_from_one_address_is_refused(
    kind: str, changes: dict[str, str], hosts: tuple[Host, Host], stack: ExitStack, tmp_path: Path
) -> None:
    with start(stack, kind, tmp_path, hosts, **changes).client() as client:
        assert [client.get("/livez").status for _ in range(12)][-6:] == [429] * 6
