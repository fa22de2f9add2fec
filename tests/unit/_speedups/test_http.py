"""`split_request`: a plain request in one piece is split as a full parser would."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.full_parser import find_disagreements
from support.kernels import checked, load

GET = b"GET /v1/seasons/s1/leaderboard/top?limit=5 HTTP/1.1\r\nHost: a:1\r\n\r\n"
BODY = b'{"userId":"ann","delta":5}'
POST = (
    b"POST /v1/seasons/s1/scores HTTP/1.1\r\nhost: a\r\ncontent-type:application/json\r\nConnection: Keep-Alive\r\n"
    b"Authorization: Bearer  x y\r\nIDEMPOTENCY-KEY: \t1\r\nX-Request-Id: r\r\ntraceparent: t\r\naccept: */*\r\n"
    b'If-None-Match: W/"n"\r\ncontent-length: 26\r\n\r\n' + BODY
)


def test_a_request_is_split_golden(impl: Any) -> None:
    target = "/v1/seasons/s1/leaderboard/top?limit=5"
    assert impl.split_request(GET) == (b"GET", target, None, None, None, None, None, None, None)
    assert impl.split_request(POST) == (
        b"POST",
        "/v1/seasons/s1/scores",
        "application/json",
        "1",
        b"Bearer  x y",
        "r",
        "t",
        'W/"n"',
        BODY,
    )
    other_type = POST.replace(b"application/json", b"text/plain; charset=utf-8")
    assert impl.split_request(other_type)[2] == "text/plain; charset=utf-8"
    empty = GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n")
    assert impl.split_request(empty)[8] == b""


def with_header(line: bytes) -> bytes:
    return GET.replace(b"Host:", line + b"\r\nHost:")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GET[:-1],
        GET + b"G",
        POST[:-1],
        POST + POST,
        GET.replace(b"GET", b"get"),
        GET.replace(b"GET", b"PUT"),
        GET.replace(b"GET ", b"GET  "),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
        GET.replace(b"HTTP", b"RTSP"),
        GET.replace(b" /v1", b" http://a/v1"),
        GET.replace(b"s1", b"s%31"),
        GET.replace(b"s1", b"s1#"),
        GET.replace(b"\r\n", b"\n"),
        GET.replace(b"Host", b"Hosts"),
        with_header(b"Host: b"),
        with_header(b"Connection: close"),
        with_header(b"Connection: keep-alive, x"),
        with_header(b"Connection: keep-alivE\r\nConnection: keep-alive"),
        with_header(b"Proxy-Connection: close"),
        with_header(b"Expect: 100-continue"),
        with_header(b"Origin: https://a"),
        with_header(b"Prefer: wait=1"),
        with_header(b"Upgrade: h2c"),
        with_header(b"Transfer-Encoding: chunked"),
        with_header(b"Content-Encoding: gzip"),
        with_header(b"Content-Length: +0"),
        with_header(b"Content-Length: 00000"),
        with_header(b"Content-Length: 0\r\nContent-Length: 0"),
        with_header(b"X-Request-Id: a\r\nx-request-id: b"),
        with_header(b"Traceparent: a\r\ntraceparent: b"),
        with_header(b"If-None-Match: a\r\nif-none-match: b"),
        with_header(b"Authorization: a\r\nauthorization: b"),
        with_header(b"Idempotency-Key: a\r\nidempotency-key: b"),
        with_header(b"Content-Type: a\r\ncontent-type: b"),
        with_header(b"a: b "),
        with_header(b"a: b\t"),
        with_header(b"a:"),
        with_header(b"a :b"),
        with_header(b" a: b"),
        with_header(b"a: b\r\n folded"),
        with_header(b": b"),
        with_header(b"a"),
        with_header(b"a: \x7f"),
        with_header(b"a: \xe4"),
        with_header(b"a: \0"),
        with_header(b"a: \r"),
        with_header(b"\xe4: a"),
        with_header(b"\r\n".join([b"a: b"] * 64)),
        with_header(b"a: " + b"b" * 8192),
    ],
)
def test_everything_else_is_left_to_the_full_parser(impl: Any, data: bytes) -> None:
    assert impl.split_request(data) is None


def test_the_bounds_of_a_plain_request_are_exact(impl: Any) -> None:
    assert impl.split_request(with_header(b"\r\n".join([b"a: b"] * 63))) is not None
    fitting = with_header(b"a: " + b"b" * (8192 - len(GET) - 5))
    assert len(fitting) == 8192 and impl.split_request(fitting) is not None
    assert impl.split_request(with_header(b"a: " + b"b" * (8193 - len(GET) - 5))) is None
    assert impl.split_request(b"GET / HTTP/1.1\r\nhost:x\r\n\r\n") is not None


@pytest.mark.parametrize("wrong", [None, "GET / HTTP/1.1", bytearray(GET), memoryview(GET), 1])
def test_only_bytes_are_taken(impl: Any, wrong: Any) -> None:
    with pytest.raises(TypeError):
        impl.split_request(wrong)


def damage(data: bytes, dice: random.Random) -> bytes:
    """Change, take out or put in a byte or a few."""
    damaged = bytearray(data)
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(damaged))
        new = dice.choice(b" \t\r\n:;,aZ09\0\x7f\xff-#?/%=&")
        match dice.randrange(4):
            case 0:
                damaged[at] = new
            case 1:
                del damaged[at]
            case 2:
                damaged.insert(at, new)
            case _:
                to = dice.randrange(len(damaged))
                damaged[at:at] = damaged[min(at, to) : max(at, to)]
    return bytes(damaged)


def test_the_judge_finds_a_request_that_is_split_wrongly() -> None:
    right = load("python").split_request(POST)
    for at, wrong in enumerate((b"GET", "/v1/seasons/s2/scores", None, "2", b"Bearer x", "s", None, "n", BODY[1:])):
        split = (*right[:at], wrong, *right[at + 1 :])
        assert len(list(find_disagreements(POST, split))) == 1, at
    assert len(list(find_disagreements(POST + POST, right))) == 1
    assert len(list(find_disagreements(POST.replace(b"HTTP/1.1", b"HTTP/9"), right))) == 1
    assert len(list(find_disagreements(POST.replace(b"Keep-Alive", b"close"), right))) == 1


@checked
@given(st.sampled_from([GET, POST]), st.randoms(use_true_random=False))
def test_what_is_split_is_what_the_full_parser_finds(impl: Any, data: bytes, dice: random.Random) -> None:
    for _ in range(50):
        damaged = damage(data, dice)
        split = impl.split_request(damaged)
        assert split == load("python").split_request(damaged)
        if split is not None:
            assert list(find_disagreements(damaged, split)) == []
