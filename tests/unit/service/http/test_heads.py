"""Heads of requests: each bound is the last size that passes, and no second reader sees another end."""

from __future__ import annotations

import msgspec
import pytest

from service.contract.answers import Answer
from service.http.heads import (
    HEAD_MOST_BYTES,
    HEADER_MOST_BYTES,
    HEADERS_MOST,
    URL_MOST_BYTES,
    Headers,
    check_protocol,
    check_size,
    split_at_head,
    write_without_upgrade,
)

HOST = (b"host", b"h")


def code_of(answer: Answer | None) -> str:
    return "" if answer is None else msgspec.json.decode(answer.body)["code"]


def detail_of(answer: Answer | None) -> str:
    return "" if answer is None else msgspec.json.decode(answer.body)["detail"]


def header(size: int) -> tuple[bytes, bytes]:
    """A header of so many bytes with its colon, space and line end."""
    return b"x", b"v" * (size - 5)


def test_the_bounds_are_those_of_the_documentation() -> None:
    assert (HEAD_MOST_BYTES, URL_MOST_BYTES, HEADER_MOST_BYTES, HEADERS_MOST) == (16_384, 8_192, 8_192, 64)


@pytest.mark.parametrize(
    ("url", "headers", "code"),
    [
        (b"/" * 8_192, [], ""),
        (b"/" * 8_193, [], "uri-too-long"),
        (b"/", [header(8_192)], ""),
        (b"/", [header(8_193)], "headers-too-large"),
        (b"/", [(b"x" * 8_188, b"")], ""),
        (b"/", [(b"x" * 8_189, b"")], "headers-too-large"),
        (b"/", [header(10)] * 64, ""),
        (b"/", [header(10)] * 65, "headers-too-large"),
        (b"/" * 384, [header(8_000)] * 2, ""),
        (b"/" * 385, [header(8_000)] * 2, "headers-too-large"),
    ],
)
def test_a_head_has_a_size(url: bytes, headers: Headers, code: str) -> None:
    assert code_of(check_size(url, headers)) == code


@pytest.mark.parametrize(
    ("method", "version", "url", "headers", "code"),
    [
        (b"GET", "1.1", b"/", [HOST], ""),
        (b"TRACE", "1.1", b"/", [HOST], ""),
        (b"GET", "1.0", b"/", [], ""),
        (b"GET", "1.0", b"/", [HOST], ""),
        (b"GET", "1.1", b"/", [], "Host"),
        (b"GET", "1.1", b"/", [(b"accept", b"*/*")], "Host"),
        (b"GET", "1.1", b"/", [HOST, HOST], "Host"),
        (b"GET", "1.0", b"/", [HOST, HOST], "Host"),
        (b"GET", "1.1", b"/#a", [HOST], "fragment"),
        (b"POST", "1.1", b"/", [HOST, (b"transfer-encoding", b" Chunked ")], ""),
        (b"POST", "1.1", b"/", [HOST, (b"x", b"gzip")], ""),
        (b"POST", "1.0", b"/", [HOST, (b"transfer-encoding", b"chunked")], "Transfer-Encoding"),
        (b"POST", "1.1", b"/", [HOST, (b"transfer-encoding", b"gzip, chunked")], "Transfer-Encoding"),
        (b"POST", "1.1", b"/", [HOST, *[(b"transfer-encoding", b"chunked")] * 2], "Transfer-Encoding"),
        (b"POST", "1.1", b"/", [HOST, (b"transfer-encoding", b"")], "Transfer-Encoding"),
    ],
)
def test_a_head_has_one_host_no_fragment_and_one_end(
    method: bytes, version: str, url: bytes, headers: Headers, code: str
) -> None:
    refused = check_protocol(method, version, url, headers)
    assert (refused is None) == (code == "") and code in detail_of(refused)


@pytest.mark.parametrize(("method", "version"), [(b"GET", "2.0"), (b"GET", "0.9"), (b"GET", "1.2"), (b"SOURCE", "1.1")])
def test_other_versions_are_refused(method: bytes, version: str) -> None:
    assert code_of(check_protocol(method, version, b"/", [HOST])) == "version-not-supported"


@pytest.mark.parametrize(
    ("raw", "method", "url", "found"),
    [
        (b"GET / HTTP/1.1\r\nhost: h\r\n\r\nrest", b"GET", b"/", (b"HTTP", b"rest")),
        (b"GET / RTSP/1.0\r\n\r\n", b"GET", b"/", (b"RTSP", b"")),
        (b"bodyGET /a HTTP/1.0\r\n\r\nb\r\n\r\nc", b"GET", b"/a", (b"HTTP", b"b\r\n\r\nc")),
        (b"a\r\nb\r\n\r\nGET / HTTP/1.1\r\n\r\nx", b"GET", b"/", (b"HTTP", b"x")),
        (b"GET /b HTTP/1.1\r\n\r\nGET / RTSP/1.0\r\n\r\nx", b"GET", b"/", (b"RTSP", b"x")),
        (b"POST / HTTP/1.1\r\n\r\n", b"GET", b"/", (b"", b"POST / HTTP/1.1\r\n\r\n")),
        (b"GET /a HTTP/1.1\r\n\r\n", b"GET", b"/b", (b"", b"GET /a HTTP/1.1\r\n\r\n")),
        (b"GET / HTTP/11\r\n\r\n", b"GET", b"/", (b"", b"GET / HTTP/11\r\n\r\n")),
        (b"/ HTTP/1.1\r\n\r\n", b"GET", b"/", (b"", b"/ HTTP/1.1\r\n\r\n")),
        (b"GET / HTTP/1.1", b"GET", b"/", (b"", b"GET / HTTP/1.1")),
        (b"", b"GET", b"/", (b"", b"")),
        (b"a word GET / HTTP/1.1\r\n\r\n", b"GET", b"/", (b"HTTP", b"")),
        (b"\r\nGET / HTTP/1.1\r\n\r\nx", b"GET", b"/", (b"HTTP", b"x")),
    ],
)
def test_the_head_of_a_request_is_found_behind_other_bytes(
    raw: bytes, method: bytes, url: bytes, found: tuple[bytes, bytes]
) -> None:
    assert split_at_head(raw, method, url) == found


@pytest.mark.parametrize(
    ("headers", "lines"),
    [
        ([HOST], b"host: h\r\n"),
        ([HOST, (b"connection", b"Upgrade"), (b"upgrade", b"websocket")], b"host: h\r\n"),
        ([(b"connection", b"Upgrade, Close"), (b"upgrade", b"h2c"), HOST], b"host: h\r\nconnection: close\r\n"),
        ([(b"x", b"close"), HOST], b"x: close\r\nhost: h\r\n"),
        ([(b"accept", b"close"), HOST], b"accept: close\r\nhost: h\r\n"),
    ],
)
def test_a_wish_for_another_protocol_is_left_out(headers: Headers, lines: bytes) -> None:
    assert write_without_upgrade(b"GET", "1.1", b"/a", headers) == b"GET /a HTTP/1.1\r\n" + lines + b"\r\n"
