"""A client that has an answer of a board asks whether it still holds, and gets 304 as long as nothing changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.http import Answer, Http, base, bearer, raw
from support.operations import SPELLING
from support.processes import serving
from support.world import World

from board.partitions import partition_of
from relay.batch import relay_batch
from service.pages import operations as pages
from service.routes import OPERATIONS

READS = ["top", "top?limit=2&offset=1", "rank?userId=ada", "around?userId=ada&range=1", "count", "score?rank=1"]
READS += ["histogram", "histogram?by=quantile"]
Path = Callable[[str], str]


@pytest.fixture
def http(world: World) -> Iterator[Http]:
    """Two players, on a server that keeps no list."""
    carry(world, ("s", "ada", 1), ("s", "bob", 2))
    with serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as client:
        yield client


def carry(world: World, *batch: tuple[str, str, int]) -> None:
    world.submit(*batch)
    relay_batch(world.session(), partition_of("s"))


def ask(http: Http, path: str, tag: str | None = None, method: str = "GET") -> Answer:
    return http.ask(method, path, headers={} if tag is None else {"If-None-Match": tag})


@SPELLING
def test_an_answer_holds_until_a_batch_touches_the_board(http: Http, world: World, spelt: Path) -> None:
    for read in READS:
        path = f"/v1/seasons/{spelt('s')}/leaderboard/{read}"
        answer = ask(http, path)
        tag = answer.headers["etag"]
        assert answer.status == 200 and tag[0] == tag[-1] == '"' and answer.json["asOf"] in tag
        assert answer.headers["cache-control"] == "private, no-cache"
        for held in (tag, f"W/{tag}", f'"x", {tag}', "*", f'W/"y" ,{tag},'):
            same = ask(http, path, held)
            assert (same.status, same.body) == (304, b""), (read, held, same)
            assert (same.headers["etag"], same.headers["cache-control"]) == (tag, "private, no-cache")
            assert not {"content-length", "content-type", "transfer-encoding"} & same.headers.keys()
        for other in ('"x"', tag[1:-1], tag[:-2] + '"', "nonsense", '"', f"{tag[:-1]}x"):
            assert ask(http, path, other).body == answer.body, (read, other)
        assert ask(http, path, tag, "HEAD").status == 304
        carry(world, ("s", "ada", 1))
        later = ask(http, path, tag)
        assert later.status == 200 and later.headers["etag"] != tag


def test_both_paths_answer_alike(http: Http) -> None:
    for read in ("top", "rank?userId=ada", "rank?userId=zoe", "rank", "around?userId=ada"):
        for tag in (None, "*", '"x"'):
            plain, encoded = (ask(http, f"/v1/seasons/{name}/leaderboard/{read}", tag) for name in ("s", "%73"))
            for answer in (plain, encoded):
                for varying in ("date", "x-request-id"):
                    answer.headers.pop(varying, None)
            assert (plain.status, plain.body, plain.headers) == (encoded.status, encoded.body, encoded.headers)


def test_a_connection_goes_on_behind_an_answer_without_a_body(http: Http) -> None:
    one = "GET /v1/seasons/{0}/leaderboard/{1} HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n{2}\r\n"
    reads = [(name, read) for name in ("s", "%73") for read in ("top", "rank?userId=ada")]
    data = "".join(one.format(*read, "") for read in reads) + one.format("s", "count", "Connection: close\r\n")
    got = raw(http.port, data.encode())
    assert got.count(b"HTTP/1.1 304 Not Modified\r\n") == 5 and got.endswith(b"\r\n\r\n")
    assert all(b"{" not in answer for answer in got.split(b"HTTP/1.1 "))


def test_a_tag_that_is_sent_in_two_headers_is_one_list(http: Http) -> None:
    tag = ask(http, f"{base('s')}/leaderboard/top").headers["etag"]
    for name in ("s", "%73"):
        lines = f'If-None-Match: "x"\r\nIf-None-Match: {tag}\r\nConnection: close\r\n'
        got = raw(http.port, f"GET /v1/seasons/{name}/leaderboard/top HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        assert got.startswith(b"HTTP/1.1 304 ")


def test_errors_and_other_operations_have_no_tag(http: Http) -> None:
    for path in (
        "/livez",
        "/openapi.json",
        f"{base('s')}/leaderboard/rank?userId=zoe",
        f"{base('s')}/leaderboard/rank",
    ):
        answer = ask(http, path, "*")
        assert answer.status != 304 and "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in http.lookup("s", ["ada"]).headers
    body = b'{"userIds":["ada"]}'
    headers = {"Content-Type": "application/json", "If-None-Match": "*"}
    assert http.ask("POST", f"{base('s')}/leaderboard/lookup", body, headers).status == 200


def test_an_answer_without_a_body_needs_a_credential_and_counts(world: World) -> None:
    carry(world, ("s", "ada", 1))
    limits = {"LEADERBOARD_AUTH": "keys", "LEADERBOARD_LIMIT_KEY": "3", "LEADERBOARD_LIMIT_WINDOW_S": "3600"}
    with serving(world, "/readyz", **limits) as api, api.client() as http:
        key = bearer(world.key("read"))
        api.until_known(key["Authorization"].removeprefix("Bearer "))
        path = f"{base('s')}/leaderboard/top"
        assert ask(http, path, "*").status == 401
        answers = [http.ask("GET", path, headers={**key, "If-None-Match": "*"}) for _ in range(4)]
    assert [answer.status for answer in answers] == [304, 304, 304, 429]
    assert all("ratelimit" in answer.headers for answer in answers)


def test_every_read_of_a_board_by_get_says_that_it_may_be_kept() -> None:
    reads = {op.name for op in OPERATIONS if "/leaderboard/" in op.path and op.method == "GET"}
    # An answer without an end is kept by nobody.
    assert {op.name for op in OPERATIONS if op.is_kept} == reads - {"streamTop"} | {op.name for op in pages.OPERATIONS}
    for op in OPERATIONS:
        names = {one.name for one in op.parameters}
        assert ("If-None-Match" in names) == (op.is_kept or "If-Match" in names)
