"""Players at a TLS proxy: each request on a connection of its own, none is tried twice, every failure is kept."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from typing import Any


class Load:
    """Threads that submit one point after the other and read the board, from `with` on until it ends."""

    def __init__(self, address: str, key: str, season: str, submitters: int = 2, readers: int = 1) -> None:
        self.address, self.season = address, season
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.failures: list[str] = []
        self.accepted = [0] * submitters
        self.reads = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._submit, args=(n,), daemon=True) for n in range(submitters)]
        self._threads += [threading.Thread(target=self._read, daemon=True) for _ in range(readers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """One request about the season; the status and the JSON answer. Raises what the connection raises."""
        return self.fetch(f"/v1/seasons/{self.season}{path}", method, body)

    def fetch(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """The same for any path."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.address, timeout=20, context=context)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, self.headers)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw.startswith(b"{") else {}
        finally:
            connection.close()

    def _try(self, wanted: int, method: str, path: str, body: dict[str, Any] | None = None) -> bool:
        begun = time.monotonic()
        try:
            status, answer = self.ask(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{method} {path}: {error!r} after {time.monotonic() - begun:.2f} s")
            return False
        if status != wanted:
            self.failures.append(f"{method} {path}: {status} {answer} after {time.monotonic() - begun:.2f} s")
        return status == wanted

    def _submit(self, number: int) -> None:
        while not self._stop.wait(0.05):
            self.accepted[number] += self._try(202, "POST", "/scores", {"userId": f"player-{number}", "delta": 1})

    def _read(self) -> None:
        while not self._stop.wait(0.05):
            self.reads += self._try(200, "GET", "/leaderboard/top?limit=10")
