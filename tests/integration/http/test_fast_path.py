"""The fast path answers exactly as the ordinary one does, whatever the request, and keeps to the same bounds."""

from __future__ import annotations

import itertools
import json
import socket

import pytest
from support.http import JSON, Answer, Http, raw
from support.operations import encoded
from support.processes import Api, children_of, resident, serving
from support.waiting import eventually
from support.world import World


def same(one: Answer, other: Answer) -> None:
    """The same status, body and headers; but for what tells the time, or is new for each answer that has it."""
    assert (one.status, one.body) == (other.status, other.body)
    for answer in (one, other):
        assert answer.headers.pop("date", None) is not None
        assert ("x-request-id" in answer.headers) == (answer.status >= 400)
        answer.headers.pop("x-request-id", None)
    assert one.headers == other.headers


@pytest.fixture
def board(http: Http, season: str, api: Api) -> str:
    """A season of three players with a plain name."""
    name = season.replace(" ", "-")
    for user, delta in (("ada", 5), ("bob", 7), ("cy.-_~", 7)):
        assert http.post(name, user, delta).status == 202
    eventually(lambda: len(api.world.board(name)) == 3)
    return name


QUERIES = [
    "top",
    *(
        f"top?limit={n}"
        for n in ("1", "2", "1000", "0", "1001", "007", "999999999", "9999999999", "", "x", "-1", "1.0")
    ),
    "top?limit=1&limit=2",
    "top?limit=2&x=y",
    "top?userId=ada",
    "top?",
    "rank",
    "rank?",
    *(f"rank?userId={u}" for u in ("ada", "bob", "cy.-_~", "nobody", "", "a+b", "a,b", "%00", "x" * 128, "x" * 129)),
    "rank?userId=ada&userId=bob",
    "rank?userId=ada&limit=3",
    *(f"rank?userId=ada&metadata={text}" for text in ("true", "false", "", "1", "TRUE")),
    "rank?metadata=true&userId=ada",
    "rank?metadata=true&userId=nobody",
    "around?userId=ada",
    *(f"around?userId=bob&range={n}" for n in ("0", "1", "100", "101", "", "x", "00", "-1")),
    "around?range=1&userId=ada",
    "around?userId=nobody&range=1",
    "around?userId=nobody&range=101",
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("known", [True, False])
def test_reads(http: Http, board: str, query: str, known: bool) -> None:
    name = board if known else "nowhere-at-all"
    same(
        http.get(f"/v1/seasons/{name}/leaderboard/{query}"),
        http.get(f"/v1/seasons/{encoded(name)}/leaderboard/{query}"),
    )


@pytest.mark.parametrize("name", ["x" * 64, "x" * 65, ".", "..", "~", "A.b-c_d~0"])
def test_season_names(http: Http, name: str) -> None:
    same(http.get(f"/v1/seasons/{name}/leaderboard/top"), http.get(f"/v1/seasons/{encoded(name)}/leaderboard/top"))


BODIES = [
    b"",
    b"{}",
    b"nonsense",
    b"[1]",
    b'{"userId":"ada","delta":0}',
    b'{"userId":"ada","delta":1.5}',
    b'{"userId":"ada","delta":-0.0}',
    b'{"userId":"","delta":1}',
    b'{"userId":"a\\u0000","delta":1}',
    b'{"userId":"\\ud800","delta":1}',
    b'{"userId":"\xff","delta":1}',
    b'{"userId":"ada","delta":1,"more":2}',
    b'{"userId":"ada"}' + b" " * 16_400,
    b'{"userId":"' + b"x" * 16_400 + b'","delta":1}',
]
HEADERS = [
    JSON,
    {},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json;x=y"},
    {**JSON, "Accept": "*/*"},
]


@pytest.mark.parametrize(("body", "headers"), list(itertools.product(BODIES, HEADERS)))
def test_submissions_that_are_refused(http: Http, board: str, body: bytes, headers: dict[str, str]) -> None:
    same(
        http.ask("POST", f"/v1/seasons/{board}/scores", body, headers),
        http.ask("POST", f"/v1/seasons/{encoded(board)}/scores", body, headers),
    )


def test_submissions_that_are_taken(http: Http, board: str) -> None:
    # Both paths count for the same player: the scores go on, the shape is the same.
    answers = []
    for name in (board, encoded(board), board, encoded(board)):
        for body in (b'{"userId":"ada","delta":1}', b'{"userId":"ada","delta":1}' + b" " * 20_000):
            answers.append(http.ask("POST", f"/v1/seasons/{name}/scores", body, JSON))
    assert {answer.status for answer in answers} == {202}
    assert [answer.json["score"] for answer in answers] == [6, 7, 8, 9, 10, 11, 12, 13]
    assert len({tuple(answer.json) for answer in answers}) == 1
    assert len({frozenset(answer.headers) for answer in answers}) == 1


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["scores", "leaderboard/top", "leaderboard/rank?userId=ada"])
def test_other_methods(http: Http, board: str, method: str, path: str) -> None:
    same(http.ask(method, f"/v1/seasons/{board}/{path}"), http.ask(method, f"/v1/seasons/{encoded(board)}/{path}"))


def test_a_read_with_a_body(http: Http, board: str) -> None:
    path = "leaderboard/top?limit=1"
    same(
        http.ask("GET", f"/v1/seasons/{board}/{path}", b"{}"),
        http.ask("GET", f"/v1/seasons/{encoded(board)}/{path}", b"{}"),
    )


def parted(got: bytes) -> list[tuple[bytes, set[bytes], bytes]]:
    """Answers one after the other: status line, headers but for the date and the request's id, body."""
    found = []
    while got:
        head, _, rest = got.partition(b"\r\n\r\n")
        status, *headers = head.lower().split(b"\r\n")
        length = next(int(h.partition(b":")[2]) for h in headers if h.startswith(b"content-length:"))
        found.append((status, {h for h in headers if not h.startswith((b"date:", b"x-request-id:"))}, rest[:length]))
        got = rest[length:]
    return found


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_versions_and_connections(api: Api, board: str, version: str, connection: str) -> None:
    keeps = version == "1.1" and connection == "keep-alive"
    tail = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = []
    for name in (board, encoded(board)):
        one = f"GET /v1/seasons/{name}/leaderboard/top HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\n\r\n"
        answers.append(parted(raw(api.port, (one + (tail if keeps else "")).encode())))
    assert len(answers[0]) == (2 if keeps else 1)
    assert answers[0] == answers[1]


def test_what_malformed_http_gets_is_a_problem_too(api: Api) -> None:
    got = raw(api.port, b"GET /v1/seasons/x/leaderboard/top HTTP/1.1\r\nno colon\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["code"] == "bad-request"


@pytest.mark.parametrize("cut", [1, 30, 90, 130, 155])
def test_a_request_that_comes_in_pieces(api: Api, season: str, cut: int) -> None:
    body = b'{"userId":"ada","delta":1}'
    name = season.replace(" ", "-")
    head = (
        f"POST /v1/seasons/{name}/scores HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    )
    data = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection(("127.0.0.1", api.port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(data[:cut])
        with api.client() as other:
            assert other.get("/livez").status == 200
        connection.sendall(data[cut:])
        got = b""
        while piece := connection.recv(65536):
            got += piece
    assert got.startswith(b"HTTP/1.1 202") and b'"score":1' in got


def test_a_client_that_never_reads_costs_little(world: World) -> None:
    """Asks for one large top list after the other and reads none: the worker must not keep them all."""
    users = [(f"{n:03}" + "x" * 125, n) for n in range(1_000)]
    world.submit(*(("big", user, n + 1) for user, n in users))
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        size = len(http.top("big", 1000).body)
        assert size > 150_000
        (worker,) = children_of(api.command.process.pid)
        with socket.socket() as greedy:
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # Each request in a packet of its own: one that comes while another is in work takes the ordinary path.
            greedy.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            greedy.connect(("127.0.0.1", api.port))
            greedy.setblocking(False)
            before = resident(worker)
            for _ in range(200):
                try:
                    greedy.send(b"GET /v1/seasons/big/leaderboard/top?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
                except BlockingIOError:
                    break
                # One loop serves both, and ranks are never kept: when these are answered, the other one has been, too.
                for _ in range(3):
                    assert http.rank("big", users[0][0]).status == 200
            grown = resident(worker) - before
        assert grown < 60 * size, f"{grown / size:.0f} answers are kept"
