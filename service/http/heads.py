"""Heads of requests: their bounds, and rules that llhttp does not check.

A check returns the refusal, or None. Names of headers are in lower case.
"""

from __future__ import annotations

import re
from typing import Final

from service.contract import problems
from service.contract.answers import Answer

# llhttp parses request lines of these protocols as well, and does not tell which one it was. ICE has one method only.
RTSP: Final = b"RTSP/"
ICE_METHOD: Final = b"SOURCE"
_NAME: Final = re.compile(rb"(HTTP|RTSP)/\d\.\d")

HEAD_END: Final = b"\r\n\r\n"
HEAD_MOST_BYTES: Final = 16 * 1024
URL_MOST_BYTES: Final = 8 * 1024
HEADER_MOST_BYTES: Final = 8 * 1024
HEADERS_MOST: Final = 64

Headers = list[tuple[bytes, bytes]]


def check_size(url: bytes, headers: Headers) -> Answer | None:
    """Check the length of the target, the number of headers, and the bytes of each and of all."""
    sizes = [len(name) + len(value) + 4 for name, value in headers]
    if len(url) > URL_MOST_BYTES:
        return problems.URI_TOO_LONG.answer
    if (
        len(sizes) > HEADERS_MOST
        or sum(sizes) + len(url) > HEAD_MOST_BYTES
        or max(sizes, default=0) > HEADER_MOST_BYTES
    ):
        return problems.HEADERS_TOO_LARGE.answer
    return None


def split_at_head(raw: bytes, method: bytes, url: bytes) -> tuple[bytes, bytes]:
    """The protocol that the first request line of this method and target names, and the bytes behind that head.

    `raw` may begin with the body of another request. Without such a line the protocol is empty.
    """
    at = 0
    while (end := raw.find(b"\r\n", at)) >= 0:
        # The body in front of the line has no end of its own.
        words = raw[at:end].split()[-3:]
        if len(words) == 3 and words[1] == url and words[0].endswith(method) and (named := _NAME.fullmatch(words[2])):
            return named[1], raw[end:].partition(HEAD_END)[2]
        at = end + 2
    return b"", raw


def check_protocol(method: bytes, version: str, url: bytes, headers: Headers) -> Answer | None:
    """Check the version, the one Host (RFC 9112, 3.2), that the target has no fragment, and the end of the body.

    Another reader of the same bytes must not see the body's end elsewhere (RFC 9112, 6.1 and 6.3).
    """
    hosts = sum(name == b"host" for name, _ in headers)
    if version not in ("1.0", "1.1") or method == ICE_METHOD:
        return problems.VERSION_NOT_SUPPORTED.answer
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return problems.BAD_REQUEST.with_detail("A request needs one Host header.")
    if b"#" in url:
        # Falcon would drop the fragment: every path would have further spellings.
        return problems.BAD_REQUEST.with_detail("A request's target has no fragment.")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (version == "1.0" or codings != [b"chunked"]):
        return problems.BAD_REQUEST.with_detail("Transfer-Encoding is chunked or nothing, and HTTP/1.0 has none.")
    return None


def write_without_upgrade(method: bytes, version: str, url: bytes, headers: Headers) -> bytes:
    """The bytes of a head without its wish for another protocol, which a server may ignore (RFC 9110, 7.8)."""
    closes = any(name == b"connection" and b"close" in value.lower() for name, value in headers)
    kept = [(name, value) for name, value in headers if name not in (b"connection", b"upgrade")]
    lines = [b"%b: %b\r\n" % pair for pair in kept + [(b"connection", b"close")] * closes]
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), b"".join(lines))
