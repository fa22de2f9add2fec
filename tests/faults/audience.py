"""Clients that listen to boards under faults: streams and long polls, which connect again as the documentation says.

Each keeps the list that it was told. In the end each has to have the list of the board, and the judge compares it with
PostgreSQL. A stream resumes with the last event that it has.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from support.http import Http

LIMIT: Final = 20
SILENT_S: Final = 40.0
"""A stream without a heartbeat for so long is dead."""
AGAIN_S: Final = (0.05, 0.4)
THERE_MOST_S: Final = 3_600.0
"""No fault lasts for so long: an audience that is still there was forgotten."""
RESTED_MOST_S: Final = 600.0
"""Nor does a rest of its clients."""
ENDED_WITHIN_S: Final = 60.0
SMALL: Final = 4_096
"""The receive buffer of clients that rest, in bytes."""


class Heard:
    """What one listener has been told."""

    def __init__(self, how: str, season: str, number: int, *, rests: bool = False) -> None:
        self.how: Final = how
        self.season: Final = season
        self.number: Final = number
        self.rests: Final = rests
        self.items: list[dict[str, Any]] = []
        self.total = 0
        self.as_of = ""
        self.connects = self.refused = self.failures = 0
        self.wrong = ""
        """How an event did not fit to the list before it."""

    def take(self, name: str, data: dict[str, Any]) -> None:
        """Take an event of a stream, or the answer to a poll (a snapshot)."""
        if name == "unavailable":
            self.failures += 1
            return
        if name == "snapshot":
            self.items = data["items"]
        elif name == "change":
            gone = {*data["left"], *(row["userId"] for row in data["rows"])}
            places = {at: row for at, row in enumerate(self.items, 1) if row["userId"] not in gone}
            for row in data["rows"]:
                at = row.pop("position")
                if at in places:
                    self.wrong = f"two rows at {at} after {self.as_of}"
                places[at] = row
            if sorted(places) != list(range(1, len(places) + 1)):
                self.wrong = f"a gap after {self.as_of}"
            self.items = [places[at] for at in sorted(places)]
        else:
            return
        self.total, self.as_of = data["total"], data["asOf"]

    def describe(self) -> str:
        """One line, for a failure."""
        return (
            f"{self.how} {self.number} of {self.season}: {self.as_of or 'nothing'}, {len(self.items)} rows {self.wrong}"
        )


class Audience:
    """`streams` and `polls` of each season, in a thread; `resting` of the streams do not read while `rest` is set."""

    def __init__(
        self, port: int, seasons: list[str], *, streams: int, polls: int, resting: int = 0, limit: int = LIMIT
    ) -> None:
        self._port: Final = port
        self._limit: Final = limit
        self.heard: Final = [
            *(Heard("stream", season, n, rests=n < resting) for season in seasons for n in range(streams)),
            *(Heard("poll", season, n) for season in seasons for n in range(polls)),
        ]
        self.rest: Final = threading.Event()
        self._stop: Final = threading.Event()
        self._failed: BaseException | None = None
        self._thread: Final = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)

    def __enter__(self) -> Audience:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(ENDED_WITHIN_S)
        assert not self._thread.is_alive(), f"the listeners did not end within {ENDED_WITHIN_S:.0f} s"

    def check(self) -> bool:
        """True; raises what ended a listener that should not have ended."""
        if self._failed is not None:
            raise self._failed
        return True

    def apart(self) -> list[Heard]:
        """The listeners whose list is not the one that `top` answers now."""
        self.check()
        tops: dict[str, Any] = {}
        with Http(self._port) as http:
            for season in {one.season for one in self.heard}:
                with suppress(OSError, ValueError):
                    tops[season] = http.get(f"/v1/seasons/{season}/leaderboard/top?limit={self._limit}").json
        found = []
        for one in self.heard:
            top = tops.get(one.season, {})
            if one.wrong or (one.items, one.total, one.as_of) != (top.get("items"), top.get("total"), top.get("asOf")):
                found.append(one)
        return found

    def settle(self, within_s: float) -> list[Heard]:
        """Wait until no listener is apart, or the time is up; those that are."""
        self.rest.clear()
        until = time.monotonic() + within_s
        while (found := self.apart()) and time.monotonic() < until:
            time.sleep(0.1)
        return found

    def note(self, history: Path) -> None:
        """Write into a history what each listener has in the end."""
        with history.open("a") as file:
            for one in self.heard:
                event = {
                    "t": time.monotonic(),
                    "kind": "ok",
                    "op": 0,
                    "do": "listen",
                    "how": one.how,
                    "limit": self._limit,
                }
                event |= {"season": one.season, "client": one.number, "total": one.total, "wrong": one.wrong}
                event |= {
                    f"{name}s": [row[key] for row in one.items] for name, key in (("user", "userId"), ("score",) * 2)
                }
                file.write(json.dumps(event) + "\n")

    # --- the clients

    async def _listen(self) -> None:
        tasks = [
            asyncio.create_task(self._stream(one) if one.how == "stream" else self._poll(one)) for one in self.heard
        ]
        watch = asyncio.create_task(self._watch())
        done, _ = await asyncio.wait((watch, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, watch):
            task.cancel()
        await asyncio.wait((watch, *tasks))
        for task in done:
            self._failed = self._failed or (None if task.cancelled() else task.exception())

    async def _watch(self) -> None:
        await poll(self._stop.is_set, THERE_MOST_S, "the end of the audience")

    async def _ask(self, one: Heard, path: str, headers: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request on a connection of its own."""
        client = socket.socket()
        if one.rests:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        client.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self._port))
        except (OSError, asyncio.CancelledError):
            client.close()
            raise
        reader, writer = await asyncio.open_connection(sock=client, limit=SMALL if one.rests else 1 << 16)
        one.connects += 1
        writer.write(f"GET /v1/seasons/{one.season}/leaderboard/{path} HTTP/1.1\r\nHost: t\r\n{headers}\r\n".encode())
        return reader, writer

    async def _stream(self, one: Heard) -> None:
        while True:
            writer: asyncio.StreamWriter | None = None
            try:
                last = f"Last-Event-ID: {one.as_of}\r\n" if one.as_of else ""
                reader, writer = await self._ask(one, f"stream?limit={self._limit}", last)
                async with asyncio.timeout(SILENT_S):
                    status, _ = await read_head(reader)
                if status == 200:
                    await self._follow(one, reader)
                one.refused += status != 200
            except (OSError, EOFError, TimeoutError):
                pass
            finally:
                if writer is not None:
                    writer.transport.abort()
            await asyncio.sleep(random.uniform(*AGAIN_S))

    async def _follow(self, one: Heard, reader: asyncio.StreamReader) -> None:
        """Take the events of a stream until it ends. Raises OSError, EOFError and TimeoutError."""
        text = b""
        while True:
            if one.rests:
                await poll(lambda: not self.rest.is_set(), RESTED_MOST_S, "the end of a rest")
            async with asyncio.timeout(SILENT_S):
                size = int((await reader.readuntil(b"\r\n")).strip(), 16)
                text += (await reader.readexactly(size + 2))[:-2]
            if not size:
                return
            while b"\n\n" in text:
                block, _, text = text.partition(b"\n\n")
                fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
                if b"data" in fields:
                    one.take(fields[b"event"].decode(), json.loads(fields[b"data"]))

    async def _poll(self, one: Heard) -> None:
        while True:
            writer: asyncio.StreamWriter | None = None
            try:
                since = f"&since={one.as_of}" if one.as_of else ""
                reader, writer = await self._ask(one, f"top?limit={self._limit}{since}", "Prefer: wait=25\r\n")
                async with asyncio.timeout(SILENT_S):
                    status, length = await read_head(reader)
                    body = await reader.readexactly(length)
                if status == 200:
                    one.take("snapshot", json.loads(body))
                one.refused += status not in (200, 304)
            except (OSError, EOFError, TimeoutError):
                pass
            finally:
                if writer is not None:
                    writer.transport.abort()
            await asyncio.sleep(random.uniform(*AGAIN_S))


async def poll(is_so: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait until something is so that a thread decides. Raises AssertionError when the time is up."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while not is_so():
        assert loop.time() < until, f"{what} did not come within {within_s:.0f} s"
        await asyncio.sleep(0.05)


async def read_head(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Status and length of the body of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = head.partition("content-length: ")[2].split("\r\n")[0]
    return int(head.split(" ", 2)[1]), int(length or 0)
