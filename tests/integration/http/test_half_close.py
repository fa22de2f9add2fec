"""A client that closes its sending side after a request (`shutdown(SHUT_WR)`), against the real gunicorn."""

from __future__ import annotations

import socket

import pytest
from support.http import base
from support.processes import Api
from support.waiting import eventually

BODY = b'{"userId":"ada","delta":1}'
CL = b"Content-Length: %d\r\n" % len(BODY)
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def told(port: int, data: bytes) -> bytes:
    """Send, close the sending side, and read until the server closes."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65_536):
            got += piece
    return got


def post(name: str, framing: bytes = CL, body: bytes = BODY) -> bytes:
    path = base(name).encode()
    return b"POST %b/scores HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%b\r\n%b" % (path, framing, body)


def names(season: str) -> list[str]:
    """For the ordinary path, and for the fast path."""
    return [season, season.replace(" ", "-")]


@pytest.mark.parametrize(("framing", "body"), [(CL, BODY), (TE, CHUNKED)], ids=["length", "chunks"])
def test_a_submission_counts_and_is_answered(api: Api, season: str, framing: bytes, body: bytes) -> None:
    for name in names(season):
        for score in range(1, 11):
            got = told(api.port, post(name, framing, body))
            assert got.startswith(b"HTTP/1.1 202") and b'"score":%d' % score in got, got


def test_reads_and_probes_are_answered(api: Api, season: str) -> None:
    for path in ("/livez", "/readyz", *(f"{base(name)}/leaderboard/top" for name in names(season))):
        got = told(api.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert got.startswith(b"HTTP/1.1 200"), got


def test_pipelined_requests_are_all_answered(api: Api, season: str) -> None:
    for name in names(season):
        got = told(api.port, post(name) * 50)
        assert got.count(b"HTTP/1.1 202") == 50


def test_a_request_in_work_is_waited_for(api: Api, season: str) -> None:
    world = api.world
    for name in names(season):
        world.create(name)
        with world.held(name) as db, socket.create_connection(("127.0.0.1", api.port), 20) as client:
            client.sendall(post(name))
            client.shutdown(socket.SHUT_WR)
            eventually(lambda: world.waiting() == 1)
            db.commit()
            # Until the server closes, in as many pieces as come.
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
            assert answer.startswith(b"HTTP/1.1 202") and answer.count(b"HTTP/1.1") == 1


def test_an_incomplete_body_is_a_request_broken_off(api: Api, season: str) -> None:
    for name in names(season):
        for framing, body in ((CL, BODY[:-1]), (TE, CHUNKED[:-2]), (TE, CHUNKED[:-7])):
            assert told(api.port, post(name, framing, body)) == b""
            got = told(api.port, post(name) + post(name, framing, body))
            assert got.startswith(b"HTTP/1.1 202") and got.count(b"HTTP/1.1") == 1
        assert api.world.value("SELECT score FROM score JOIN season USING (period_id) WHERE season_id = %s", name) == 3
