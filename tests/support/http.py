"""A small HTTP client that shows everything: status, headers, body, and the faults of an answer's shape."""

from __future__ import annotations

import http.client
import json
import random
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

PORTS: Final = (16_000, 32_000)
"""Below those that the kernel gives to outgoing connections."""


class Answer(msgspec.Struct, frozen=True):
    """One answer. `headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


class Http:
    """One keep-alive connection. Not for several threads."""

    def __init__(self, port: int, timeout_s: float = 20.0) -> None:
        self.port: Final = port
        self.connection: Final = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; the path goes out as it is."""
        self.send(method, path, body, headers)
        return self.receive()

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> None:
        """The first half of `ask`: returns as soon as the request is on its way."""
        try:
            self.connection.request(method, path, body, dict(headers or {}))
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def receive(self) -> Answer:
        """The second half of `ask`."""
        try:
            got = self.connection.getresponse()
            headers = {k.lower(): v for k, v in got.getheaders()}
            if headers.get("content-type") == "text/event-stream":
                # It has no end: the first piece stands for all.
                first = got.read1()
                self.connection.close()
                return Answer(got.status, headers, first)
            return Answer(got.status, headers, got.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, season: str, user: Any, delta: Any) -> Answer:
        """Submit a score."""
        body = json.dumps({"userId": user, "delta": delta}).encode()
        return self.ask("POST", f"{base(season)}/scores", body, JSON)

    def send_post(self, season: str, user: str, delta: int) -> None:
        """Submit a score, without waiting for the answer; `receive` does."""
        self.send("POST", f"{base(season)}/scores", json.dumps({"userId": user, "delta": delta}).encode(), JSON)

    def post_raw(self, season: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Submit whatever bytes."""
        return self.ask("POST", f"{base(season)}/scores", body, JSON if headers is None else headers)

    def top(self, season: str, limit: int | None = None) -> Answer:
        return self.get(f"{base(season)}/leaderboard/top" + ("" if limit is None else f"?limit={limit}"))

    def rank(self, season: str, user: str) -> Answer:
        return self.get(f"{base(season)}/leaderboard/rank?{urlencode({'userId': user})}")

    def around(self, season: str, user: str, side: int | None = None, fill: bool | None = None) -> Answer:
        query = {"userId": user} | ({} if side is None else {"range": str(side)})
        query |= {} if fill is None else {"fill": str(fill).lower()}
        return self.get(f"{base(season)}/leaderboard/around?{urlencode(query)}")

    def lookup(self, season: str, users: Sequence[Any]) -> Answer:
        body = json.dumps({"userIds": users}).encode()
        return self.ask("POST", f"{base(season)}/leaderboard/lookup", body, JSON)

    def delete(self, season: str) -> Answer:
        return self.ask("DELETE", base(season))


JSON: Final = {"Content-Type": "application/json"}


def bearer(credential: str) -> dict[str, str]:
    """The header that carries a credential."""
    return {"Authorization": f"Bearer {credential}"}


def base(season: str) -> str:
    """The path of a season."""
    return f"/v1/seasons/{quote(season, safe='')}"


def free_port() -> int:
    """A TCP port that is free now, and that the kernel gives to no connection before a server listens on it."""
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def raw(port: int, data: bytes, timeout_s: float = 10.0) -> bytes:
    """Send bytes and read until the server closes; TimeoutError after `timeout_s` without any.

    A server that closes while we still send resets the connection; what came before that counts.
    """
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                got += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return got
