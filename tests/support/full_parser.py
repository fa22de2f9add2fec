"""llhttp as the judge of `split_request`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httptools

HEADERS = (b"content-type", b"idempotency-key", b"authorization", b"x-request-id", b"traceparent", b"if-none-match")
"""The headers that `split_request` returns, in its order."""


class ParsedRequest:
    """What llhttp finds in bytes: `complete` requests, of which the last one's parts are kept."""

    def __init__(self, data: bytes) -> None:
        self.url = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = 0
        self.connection = (False, False, "")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_headers_complete(self) -> None:
        parser = self.parser
        self.connection = (parser.should_keep_alive(), parser.should_upgrade(), parser.get_http_version())

    def on_message_complete(self) -> None:
        self.complete += 1

    def find(self, name: bytes) -> list[bytes]:
        """The values of a header."""
        return [value for key, value in self.headers if key == name]


def find_disagreements(data: bytes, split: tuple[Any, ...]) -> Iterator[str]:
    """How llhttp disagrees with what `split_request` found in the same bytes; nothing when it agrees.

    It also has to keep the connection open, and for HTTP.
    """
    try:
        parsed = ParsedRequest(data)
    except httptools.HttpParserError as error:
        yield f"{data!r}: llhttp refuses it: {error}"
        return
    if parsed.complete != 1:
        yield f"{data!r}: {parsed.complete} requests"
        return
    method, target, *texts, body = split
    mine: dict[str, Any] = {
        "method": method,
        "target": target.encode(),
        "headers": [[] if text is None else [text if isinstance(text, bytes) else text.encode()] for text in texts],
        "body": body or b"",
        "has a length": body is not None,
        "hosts": 1,
        "connection": (True, False, "1.1"),
    }
    theirs: dict[str, Any] = {
        "method": parsed.parser.get_method(),
        "target": parsed.url,
        "headers": [parsed.find(name) for name in HEADERS],
        "body": parsed.body,
        "has a length": bool(parsed.find(b"content-length")),
        "hosts": len(parsed.find(b"host")),
        "connection": parsed.connection,
    }
    for part, found in mine.items():
        if found != theirs[part]:
            yield f"{data!r}: {part}: {found!r} is not {theirs[part]!r}"
