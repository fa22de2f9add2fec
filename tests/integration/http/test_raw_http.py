"""Malformed and hostile HTTP on raw sockets, against the real gunicorn: each ends clearly and harms no other client."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable

import pytest
from support.http import Http, base, raw
from support.processes import Api, serving
from support.world import World

BODY = b'{"userId":"ada","delta":1}'
KIB = 1024


def statuses(got: bytes) -> list[int]:
    """The status of each answer in a stream of them."""
    found = []
    while got:
        head, _, rest = got.partition(b"\r\n\r\n")
        found.append(int(head.split(b" ", 2)[1]))
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        assert length, head
        got = rest[int(length[1]) :]
    return found


def post(season: str, headers: bytes, body: bytes, *, head: bytes = b"POST %b/scores HTTP/1.1\r\nHost: x\r\n") -> bytes:
    """A submission with headers of one's own."""
    return (head % base(season).encode()) + b"Content-Type: application/json\r\n" + headers + b"\r\n" + body


CL = b"Content-Length: %d\r\n" % len(BODY)
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
NEXT = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

SMUGGLED: dict[str, tuple[bytes, bytes]] = {
    "length and chunks": (CL + TE, CHUNKED),
    "chunks and length": (TE + CL, CHUNKED),
    "length of nothing and chunks": (b"Content-Length: 0\r\n" + TE, CHUNKED),
    "two lengths": (CL + b"Content-Length: 5\r\n", BODY),
    "two equal lengths": (CL + CL, BODY),
    "lengths in a list": (b"Content-Length: 26, 26\r\n", BODY),
    "negative length": (b"Content-Length: -1\r\n", BODY),
    "length with a plus": (b"Content-Length: +26\r\n", BODY),
    "hexadecimal length": (b"Content-Length: 0x1a\r\n", BODY),
    "length beyond 64 bits": (b"Content-Length: 18446744073709551642\r\n", BODY),
    "empty length": (b"Content-Length: \r\n", BODY),
    "space before the colon": (b"Content-Length : 26\r\n", BODY),
    "space before the colon of the encoding": (CL + b"Transfer-Encoding : chunked\r\n", CHUNKED),
    "folded header": (b"Content-Length:\r\n 26\r\n", BODY),
    "folded encoding": (b"Transfer-Encoding:\r\n chunked\r\n", CHUNKED),
    "chunked is not last": (b"Transfer-Encoding: chunked, identity\r\n", CHUNKED),
    "chunked behind another encoding": (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKED),
    "chunked with a parameter": (b"Transfer-Encoding: chunked;q=1\r\n", CHUNKED),
    "chunked twice": (TE + TE, CHUNKED),
    "identity and a length": (b"Transfer-Encoding: identity\r\n" + CL, BODY),
    "an empty encoding and a length": (b"Transfer-Encoding:\r\n" + CL, BODY),
    "space behind a chunk size": (TE, b"1a \r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a quote without end in a chunk's extension": (TE, b'1a;a="\r\n' + BODY + b"\r\n0\r\n\r\n"),
    "trailers about framing": (TE, CHUNKED[:-2] + b"Content-Length: 4\r\n\r\n"),
    "an unknown encoding": (b"Transfer-Encoding: xchunked\r\n", CHUNKED),
    "an encoding in quotes": (b'Transfer-Encoding: "chunked"\r\n', CHUNKED),
    "an encoding after a vertical tab": (b"Transfer-Encoding: \x0bchunked\r\n", CHUNKED),
    "an encoding and a NUL": (b"Transfer-Encoding: chunked\x00\r\n", CHUNKED),
    "bare LF between headers": (b"X: y\n" + CL, BODY),
    "bare CR in a header": (b"X: y\rContent-Length: 3\r\n" + CL, BODY),
    "NUL in a header": (b"X: a\x00b\r\n" + CL, BODY),
    "NUL in a header's name": (b"X\x00: b\r\n" + CL, BODY),
    "no name": (b": b\r\n" + CL, BODY),
    "a name with a space": (b"X Y: b\r\n" + CL, BODY),
    "two hosts": (b"Host: y\r\n" + CL, BODY),
    "chunk size negative": (TE, b"-1a\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size with 0x": (TE, b"0x1a\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": (TE, b"1000000000000001a\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size without CR": (TE, b"1a\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk without its end": (TE, b"1a\r\n" + BODY + b"0\r\n\r\n"),
    "chunk longer than said": (TE, b"19\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "bare LF after a chunk": (TE, b"1a\r\n" + BODY + b"\n0\r\n\r\n"),
    "bare CR in a chunk's extension": (TE, b"1a;x\ry\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "space in front of a chunk size": (TE, b" 1a\r\n" + BODY + b"\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("spelling", ["plain", "encoded"])
@pytest.mark.parametrize("case", SMUGGLED)
def test_a_request_whose_end_is_unclear_ends_the_connection(
    api: Api, http: Http, season: str, case: str, spelling: str
) -> None:
    name = season if spelling == "encoded" else season.replace(" ", "-")
    headers, body = SMUGGLED[case]
    got = raw(api.port, post(name, headers, body) + NEXT)
    # What comes behind it is never taken for a request: that is what smuggling lives on.
    assert statuses(got) == [400], got
    assert json.loads(got.partition(b"\r\n\r\n")[2])["code"] == "bad-request"
    assert b"\r\nconnection: close\r\n" in got.lower()
    assert api.world.rows("SELECT FROM season WHERE season_id = %s", name) == []


@pytest.mark.parametrize("spelling", ["plain", "encoded"])
@pytest.mark.parametrize("more", [b"", b"Connection: keep-alive\r\n"])
def test_http_1_0_has_no_chunks(api: Api, season: str, more: bytes, spelling: str) -> None:
    """RFC 9112, 6.1: a proxy of that version would take the chunks for the next request."""
    name = season if spelling == "encoded" else season.replace(" ", "-")
    head = b"POST %b/scores HTTP/1.0\r\nHost: x\r\n"
    assert statuses(raw(api.port, post(name, TE + more, CHUNKED, head=head) + NEXT)) == [400]
    assert api.world.rows("SELECT FROM season WHERE season_id = %s", name) == []
    assert statuses(raw(api.port, post(name, CL, BODY, head=head))) == [202]


def test_a_submission_under_another_protocol_does_not_count(api: Api, http: Http, season: str) -> None:
    for name in (season, season.replace(" ", "-")):
        for version in (b"RTSP/1.0", b"RTSP/1.1"):
            whole = post(name, CL, BODY, head=b"POST %b/scores " + version + b"\r\nHost: x\r\n")
            for cut in range(0, len(whole) - len(BODY), 7):
                with socket.create_connection(("127.0.0.1", api.port), 10) as client:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    client.sendall(whole[:cut])
                    assert http.get("/livez").status == 200
                    client.sendall(whole[cut:])
                    got = b""
                    while piece := client.recv(65536):
                        got += piece
                assert statuses(got) == [505], (cut, got)
        assert api.world.rows("SELECT FROM season WHERE season_id = %s", name) == []


def test_the_names_of_other_protocols_are_ordinary_text(api: Api, season: str) -> None:
    """In a header, in a body, and in the target; also as the text of a request line."""
    for name in (season, season.replace(" ", "-")):
        line = b"POST %b/scores RTSP/1.0" % base(name).encode()
        body = b'{"userId":"%b","delta":1}' % line
        headers = b"X: %b\r\nY: ICE/1.0\r\nContent-Length: %d\r\n" % (line, len(body))
        last = b"GET /RTSP/1.0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        got = raw(api.port, post(name, headers, body) * 2 + last)
        assert statuses(got) == [202, 202, 404], got


LINES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"\r\n\r\n\r\n\x00", 400),
    "binary": (bytes(range(128, 256)) + b"\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "version 2": (b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "version 1.2": (b"GET /livez HTTP/1.2\r\nHost: x\r\n\r\n", 400),
    "version 11": (b"GET /livez HTTP/11\r\nHost: x\r\n\r\n", 400),
    "RTSP 1.0": (b"GET /livez RTSP/1.0\r\nHost: x\r\n\r\n", 505),
    "RTSP 1.1": (b"GET /livez RTSP/1.1\r\nHost: x\r\n\r\n", 505),
    "RTSP 1.1, hot": (b"GET /v1/seasons/x/leaderboard/top RTSP/1.1\r\nHost: x\r\n\r\n", 505),
    "RTSP 2.0": (b"GET /livez RTSP/2.0\r\nHost: x\r\n\r\n", 505),
    "RTSP with a method of its own": (b"DESCRIBE /livez RTSP/1.0\r\n\r\n", 505),
    "RTSP OPTIONS": (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 505),
    "RTSP behind more spaces": (b"GET  /livez  RTSP/1.1\r\nHost: x\r\n\r\n", 505),
    "RTSP with an upgrade": (b"GET /livez RTSP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 505),
    "ICE 1.0": (b"SOURCE /livez ICE/1.0\r\nHost: x\r\n\r\n", 505),
    "ICE 1.1": (b"SOURCE /livez ICE/1.1\r\nHost: x\r\n\r\n", 505),
    "version 0.9": (b"GET /livez HTTP/0.9\r\n\r\n", 505),
    "another protocol": (b"GET /livez ICY/1.1\r\nHost: x\r\n\r\n", 400),
    "no target": (b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two spaces": (b"GET  /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
    "target with a space": (b"GET /li vez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "target with NUL": (b"GET /live\x00z HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "target not ASCII": (b"GET /live\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "target is a star": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
    "target is a star, and the method another one": (b"GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    "the shortest question of a load balancer": (b"OPTIONS / HTTP/1.0\r\n\r\n", 200),
    "CONNECT": (b"CONNECT example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    "no host, hot": (b"GET /v1/seasons/x/leaderboard/top HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "bare LF": (b"GET /livez HTTP/1.1\nHost: x\n\n", 400),
    "a method in small letters": (b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an unknown method": (b"BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a long method": (b"A" * 100_000 + b" /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a long target": (b"GET /" + b"a" * 9 * KIB + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "a target without end": (b"GET /" + b"a" * 300 * KIB, 431),
    "a long header": (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9 * KIB + b"\r\n\r\n", 431),
    "a header without end": (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 600 * KIB, 431),
    "a name without end": (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a" * 600 * KIB, 431),
    "many headers": (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 64 + b"\r\n", 431),
    "many headers, hot": (
        b"GET /v1/seasons/x/leaderboard/top HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 64 + b"\r\n",
        431,
    ),
    "headers without end": (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100_000, 431),
    "middling headers, too many bytes": (
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + (b"X: " + b"a" * 7 * KIB + b"\r\n") * 3 + b"\r\n",
        431,
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_a_head_that_is_wrong_or_too_large(api: Api, case: str) -> None:
    data, status = LINES[case]
    got = raw(api.port, data)
    assert statuses(got) == [status], got[:300]
    assert b"\r\nconnection: close\r\n" in got.lower()


@pytest.mark.parametrize("case", ["a long header", "a long target", "many headers", "middling headers, too many bytes"])
def test_the_bounds_hold_behind_another_request_too(api: Api, case: str) -> None:
    data, _ = LINES[case]
    # The answer to the first one comes first, and nothing is passed off as it.
    assert statuses(raw(api.port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + data))[0] == 200


def test_an_error_is_never_the_answer_to_a_request_before_it(api: Api, world: World) -> None:
    with serving(world) as slow:
        world.create("s")
        with world.held("s") as db, socket.create_connection(("127.0.0.1", slow.port), 20) as client:
            client.sendall(post("s", CL, BODY))
            client.sendall(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
            with slow.client() as other:
                for _ in range(3):
                    assert other.get("/livez").status == 200
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(1)
            client.settimeout(20)
            db.commit()
            got = b""
            while piece := client.recv(65536):
                got += piece
    assert statuses(got) == [202], got


PATHS: dict[str, tuple[str, int]] = {
    "up": ("/v1/seasons/x/../x/leaderboard/top", 404),
    "up to the root": ("/../../etc/passwd", 404),
    "up, encoded": ("/%2e%2e/%2e%2e/etc/passwd", 404),
    "a slash too many": ("//v1/seasons/x/leaderboard/top", 404),
    "a slash too many inside": ("/v1/seasons//leaderboard/top", 400),
    "a slash at the end": ("/v1/seasons/x/leaderboard/top/", 404),
    "an encoded slash": ("/v1/seasons/a%2Fb/leaderboard/top", 404),
    "slashes that are all encoded": ("/v1%2Fseasons%2fx%2Fleaderboard%2Ftop", 404),
    "a slash too many, encoded": ("/%2Fv1/seasons/x/leaderboard/top", 404),
    "absolute with a slash too many": ("http://elsewhere//v1/seasons/x/leaderboard/top", 404),
    "an encoded backslash is a letter": ("/v1/seasons/a%5Cb/leaderboard/top", 200),
    "NUL": ("/v1/seasons/a%00b/leaderboard/top", 400),
    "line feed": ("/v1/seasons/a%0Ab/leaderboard/top", 400),
    "not UTF-8": ("/v1/seasons/%ff/leaderboard/top", 400),
    "overlong slash": ("/v1/seasons/%c0%af/leaderboard/top", 400),
    "half an escape": ("/v1/seasons/%4/leaderboard/top", 200),
    "encoded twice is a name": ("/v1/seasons/%2541/leaderboard/top", 200),
    "of a file": ("/v1/seasons/x/scores.json", 404),
    "absolute": ("http://elsewhere/livez", 200),
    "a fragment": ("/livez#x", 400),
    "a fragment, hot": ("/v1/seasons/x/leaderboard/top#x", 400),
    "a fragment behind a query": ("/v1/seasons/x/leaderboard/top?limit=1#.css", 400),
    "an encoded fragment is a name": ("/v1/seasons/x%23y/leaderboard/top", 200),
    "a letter of ours, encoded": ("/%6civez", 404),
    "a letter of ours, encoded, in front of a name": ("/v1/%73easons/x/leaderboard/top", 404),
    "a letter of ours, encoded, behind a name": ("/v1/seasons/x/leaderboard/to%70", 404),
    "a name that is two dots": ("/v1/seasons/%2e%2e/leaderboard/top", 200),
    "a parameter of a segment": ("/livez;x=y", 404),
    "an encoded question mark": ("/livez%3f", 404),
    "capitals": ("/LIVEZ", 404),
}


@pytest.mark.parametrize("case", PATHS)
def test_a_path_is_what_it_says(api: Api, case: str) -> None:
    path, status = PATHS[case]
    got = raw(api.port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert statuses(got) == [status], got


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "PROPFIND", "M-SEARCH"])
@pytest.mark.parametrize("path", ["/livez", "/v1/seasons/x", "/v1/seasons/x/scores"])
def test_methods_that_no_operation_has(api: Api, method: str, path: str) -> None:
    data = f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Secret: hush\r\nConnection: close\r\n\r\n".encode()
    got = raw(api.port, data)
    assert statuses(got)[0] in (400, 405), got
    assert b"hush" not in got


def test_trailers_are_no_headers(api: Api, season: str) -> None:
    trailers = b"0\r\nIdempotency-Key: \x22nope\x22\r\nContent-Type: text/plain\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (len(BODY), BODY)
    for _ in range(2):
        got = raw(api.port, post(season, TE + b"Connection: close\r\n", chunk + trailers))
        assert statuses(got) == [202], got
    # Had the key counted, the second would have been the first again.
    assert json.loads(got.partition(b"\r\n\r\n")[2])["score"] == 2


def test_trailers_and_extensions_without_end(api: Api, season: str) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(BODY), BODY)
    for endless in (b"0\r\n" + b"a: b\r\n" * 1_000_000, b"1;" + b"x" * 6_000_000):
        got = raw(api.port, post(season, TE, chunk + endless))
        assert statuses(got) == [413], got
    assert api.world.rows("SELECT FROM season WHERE season_id = %s", season) == []


def test_a_body_that_is_cut_off_does_not_count(api: Api, http: Http, season: str) -> None:
    for headers, body in (
        (b"Content-Length: 1000\r\n", BODY + b" " * 100),
        (TE, b"%x\r\n%b\r\n" % (len(BODY), BODY)),
    ):
        with socket.create_connection(("127.0.0.1", api.port), 10) as client:
            client.sendall(post(season, headers, body))
        with socket.create_connection(("127.0.0.1", api.port), 10) as client:
            client.sendall(post(season, headers, body))
            client.shutdown(socket.SHUT_WR)
            assert b" 202 " not in client.recv(65536)
    assert http.post(season, "bob", 1).status == 202
    assert api.world.rows("SELECT user_id FROM score JOIN season USING (period_id) WHERE season_id = %s", season) == [
        ("bob",)
    ]


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"gzip, identity", b"nonsense"])
@pytest.mark.parametrize("path", ["scores", "scores/batch"])
def test_compressed_bodies(api: Api, season: str, encoding: bytes, path: str) -> None:
    head = b"POST %b/" + path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    got = raw(api.port, post(season, CL + b"Content-Encoding: " + encoding + b"\r\n", BODY, head=head))
    assert statuses(got) == [415], got
    assert b"unsupported-content-encoding" in got and b"\r\naccept-encoding: identity\r\n" in got.lower()


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"nonsense"])
@pytest.mark.parametrize("spelling", ["plain", "encoded"])
def test_an_upgrade_is_declined_and_the_request_answered(api: Api, season: str, protocol: bytes, spelling: str) -> None:
    name = season if spelling == "encoded" else season.replace(" ", "-")
    headers = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAMAAABk\r\n" % protocol
    assert statuses(raw(api.port, post(name, headers + CL, BODY) + NEXT)) == [202, 200]
    # In pieces, too, and with the body still to come.
    whole = post(name, headers + CL, BODY) + NEXT
    with socket.create_connection(("127.0.0.1", api.port), 10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        for byte in whole:
            client.sendall(bytes([byte]))
        while piece := client.recv(65536):
            got += piece
    assert statuses(got) == [202, 200]


def test_one_upgrade_is_enough(api: Api) -> None:
    wish = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    assert statuses(raw(api.port, wish * 5_000))[:1] in ([200], [])
    assert statuses(raw(api.port, wish + NEXT)) == [200, 200]


def test_nothing_behind_a_last_request_is_answered(api: Api) -> None:
    assert statuses(raw(api.port, NEXT + NEXT)) == [200]


TWICE: dict[str, bytes] = {
    "delta": b'{"userId":"ada","delta":1,"delta":2}',
    "the same delta": b'{"userId":"ada","delta":1,"delta":1}',
    "delta, escaped": b'{"userId":"ada","delta":1,"d\\u0065lta":2}',
    "delta, once as a float": b'{"userId":"ada","delta":1,"delta":2.0}',
    "delta, both as floats": b'{"userId":"ada","delta":2.0,"delta":2.0}',
    "user": b'{"userId":"ada","userId":"bob","delta":1}',
    "user, escaped": b'{"userId":"ada","delta":1,"user\\u0049d":"bob"}',
    "key": b'{"userId":"ada","delta":1,"submissionId":"a","submissionId":"b"}',
    "no key and a key": b'{"userId":"ada","delta":1,"submissionId":null,"submissionId":"b"}',
    "a key and no key": b'{"userId":"ada","delta":1,"submissionId":"b","submissionId":null}',
    "no key twice": b'{"userId":"ada","delta":1,"submissionId":null,"submissionId":null}',
}
ONCE: dict[str, bytes] = {
    "a user named like a member": b'{"userId":"delta","delta":1}',
    "a user of quotes": b'{"userId":"\\"delta\\":1,\\"delta\\":","delta":1}',
    "no key": b'{"userId":"ada","delta":1,"submissionId":null}',
    "escaped names": b'{"user\\u0049d":"ada","d\\u0065lta":1}',
    "spaces": b' { "userId" : "ada" , "delta" : 1 } ',
}


@pytest.mark.parametrize("case", TWICE)
def test_a_member_that_is_there_twice(api: Api, http: Http, season: str, case: str) -> None:
    for name in (season, season.replace(" ", "-")):
        answer = http.post_raw(name, TWICE[case])
        assert (answer.status, answer.json["code"]) == (400, "invalid-body")
        assert api.world.rows("SELECT FROM season WHERE season_id = %s", name) == []
    batch = http.ask(
        "POST",
        f"{base(season)}/scores/batch",
        b'{"submissions":[%b,{"userId":"cy","delta":3}]}' % TWICE[case],
        {"Content-Type": "application/json"},
    )
    assert batch.status == 200
    assert [result["status"] for result in batch.json["results"]] == [400, 202]


@pytest.mark.parametrize("case", ONCE)
def test_members_that_only_look_as_if(http: Http, season: str, case: str) -> None:
    assert http.post_raw(season, ONCE[case]).status == 202
    body = b'{"submissions":[%b]}' % ONCE[case]
    batch = http.ask("POST", f"{base(season)}/scores/batch", body, {"Content-Type": "application/json"})
    assert [result["status"] for result in batch.json["results"]] == [202]


@pytest.mark.parametrize(
    "body",
    [
        b'{"submissions":[{"userId":"a","delta":1}],"submissions":[{"userId":"b","delta":1}]}',
        b'{"submissions":[{"userId":"a","delta":1}],"s\\u0075bmissions":[{"userId":"b\\"","delta":1}]}',
        b'{"submissions":[{"userId":"a","delta":1}],"submissions":[{"userId":"","delta":1}]}',
    ],
)
def test_a_batch_that_names_its_submissions_twice(api: Api, http: Http, season: str, body: bytes) -> None:
    answer = http.ask("POST", f"{base(season)}/scores/batch", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.json["code"]) == (400, "invalid-body")
    assert api.world.rows("SELECT FROM season WHERE season_id = %s", season) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda http: http.get("/livez"),
        lambda http: http.get("/nowhere"),
        lambda http: http.ask("OPTIONS", "/livez"),
        lambda http: http.ask("PUT", "/livez"),
        lambda http: http.rank("not plain", "ada"),
        lambda http: http.rank("plain", ""),
        lambda http: http.post_raw("plain", b"nonsense"),
    ],
)
def test_headers_of_every_answer(http: Http, ask: Callable[[Http], object]) -> None:
    headers = ask(http).headers  # type: ignore[attr-defined]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_a_stop_closes_every_socket_once(world: World) -> None:
    with serving(world, LEADERBOARD_WORKERS="2") as api:
        assert api.command.stop() == 0
        assert "Shutting down: Master" in api.command.text()
        assert "file descriptor" not in api.command.text()
