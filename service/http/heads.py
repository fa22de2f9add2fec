"""Heads of requests: their bounds, and rules that llhttp does not check.

A check returns the refusal, or None. Names of headers are in lower case.
"""

from __future__ import annotations

from typing import Final

from service.contract import problems
from service.contract.answers import Answer

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


def check_protocol(version: str, url: bytes, headers: Headers) -> Answer | None:
    """Check the version, the one Host (RFC 9112, 3.2), that the target has no fragment, and the end of the body.

    Another reader of the same bytes must not see the body's end elsewhere (RFC 9112, 6.1 and 6.3).
    """
    hosts = sum(name == b"host" for name, _ in headers)
    if version not in ("1.0", "1.1"):
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
