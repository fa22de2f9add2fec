"""A small HTTP client of the leaderboard's own API, for the demo and the bench."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from board.errors import UsageError

TIMEOUT_S: Final = 5


class Client:
    """One keep-alive connection to `url` (http://host:port), with `key` as its bearer token. Not for several threads.

    Raises `UsageError` for another kind of URL, and for a key that no header can hold.
    """

    def __init__(self, url: str, key: str = "") -> None:
        if not (key.isascii() and key.isprintable()):
            raise UsageError("LEADERBOARD_KEY is no key: it has characters that no key has")
        self.headers: Final = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 80
        except ValueError:
            host, port = None, 0
        if host is None or parts.scheme != "http":
            raise UsageError(f"--url must be http://host:port, not {url!r}")
        self.connection: Final = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def ask(self, method: str, path: str, body: Any = None, more: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Send one request, `body` as JSON, with `more` headers; returns status and body of the answer.

        Raises OSError or `http.client.HTTPException` without an answer; the next request connects again.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = self.headers if body is None else {**self.headers, "Content-Type": "application/json"}
        headers = headers if more is None else {**headers, **more}
        try:
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self.connection.close()
