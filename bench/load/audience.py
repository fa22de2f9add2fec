"""The audience of boards, a program: ``python -m bench.load.audience``.

It opens streams and keeps their lists. Meanwhile it submits marks: the score of one player of each board tells when it
was submitted, so each list tells how old it is. The program prints `STARTED` when every stream has its list. At SIGTERM
it submits no more, waits until every list is the one that `top` answers, and prints an `AudienceResult` as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.load.generator import announce_start, name_seasons, parse_status
from bench.load.listener import BASE, CLOCK, LATEST_MS, Board, Listener

OPENED_AT_ONCE: Final = 100
TRIES: Final = 5
AGAIN_S: Final = 1.0
MARKERS: Final = 4
"""Connections that submit marks."""
SETTLE_S: Final = 20
LAG_TICK_S: Final = 0.01
WARM_S: Final = 1.0
"""Marks count from then on."""


class AudienceResult(msgspec.Struct, frozen=True):
    """What the listeners got. Delays in ms, from the moment before a mark is sent until a listener has it.

    `apart` are the listeners whose last list is not the one of `top`. `first_apart` and `first_refused` describe one.
    `lag_p99_ms` is how late the timers of this program were, `cores` its processor time.
    """

    listeners: int
    boards: int
    events: int
    marks: int
    marks_refused: int
    delays: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    seconds: float
    refused: int
    first_refused: str
    ended: int
    apart: int
    first_apart: str
    lag_p99_ms: float
    cores: float


class Http:
    """One keep-alive connection with one request in flight."""

    def __init__(self, host: str, port: int, allowed: str) -> None:
        self._host, self._port = host, port
        self._head: Final = f"Host: {host}:{port}\r\n{allowed}"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of an answer. Raises OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{more}\r\n".encode() + body)
        answer = b""
        while (status := parse_status(answer)) is None:
            piece = await reader.read(1 << 16)
            if not piece:
                raise ConnectionResetError("no answer")
            answer += piece
        return status, answer.partition(b"\r\n\r\n")[2]


class Audience:
    """All listeners, and the marks."""

    def __init__(self, options: argparse.Namespace) -> None:
        target = urlsplit(options.url)
        key = os.environ.get("LEADERBOARD_KEY", "")
        self._allowed: Final = f"Authorization: Bearer {key}\r\n" if key else ""
        self._host: Final = target.hostname or ""
        self._port: Final = target.port or 80
        self._options: Final = options
        self._loop: Final = asyncio.get_running_loop()
        self.delays: Final = [0] * (LATEST_MS + 1)
        self.boards: Final = [Board(name, self.delays) for name in name_seasons(options.season, options.boards)]
        self.listeners: Final[list[Listener]] = []
        self.lags: Final[list[float]] = []
        self.marks = self.marks_refused = 0
        self.stopping = False

    async def open(self) -> None:
        """Open the streams, some at a time."""
        turns = asyncio.Semaphore(OPENED_AT_ONCE)

        async def open_one(number: int) -> None:
            board = self.boards[number % len(self.boards)]
            path = f"/v1/seasons/{board.season}/leaderboard/stream?limit={self._options.limit}"
            request = f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{self._allowed}\r\n".encode()
            async with turns:
                for _ in range(TRIES):
                    first = asyncio.Event()
                    made = Listener(board, request, first.set)
                    await self._loop.create_connection(lambda made=made: made, self._host, self._port)
                    await first.wait()
                    if '"board-' not in made.problem:
                        break
                    # The board could not be read now: a busy machine.
                    await asyncio.sleep(AGAIN_S)
                self.listeners.append(made)

        async with asyncio.TaskGroup() as group:
            for number in range(self._options.listeners):
                group.create_task(open_one(number))

    async def mark(self, boards: Sequence[Board]) -> None:
        """Submit the time to one of these boards after the other, each answered before the next; until `stopping`."""
        http = Http(self._host, self._port, self._allowed)
        pause = min(MARKERS, len(self.boards)) / self._options.marks
        due = self._loop.time()
        while not self.stopping:
            for board in boards:
                due = max(due + pause, self._loop.time())
                await asyncio.sleep(due - self._loop.time())
                if self.stopping:
                    return
                now = int(self._loop.time() * 1e6)
                delta = now - board.sent[-1] if board.sent else BASE + now
                body = b'{"userId":"%b","delta":%d}' % (CLOCK.encode(), delta)
                board.sent.append(now)
                status, _ = await http.ask("POST", f"/v1/seasons/{board.season}/scores", body)
                self.marks += 1
                self.marks_refused += status != 202

    async def watch_lag(self) -> None:
        """Note how late timers are."""
        while True:
            due = self._loop.time() + LAG_TICK_S
            await asyncio.sleep(LAG_TICK_S)
            self.lags.append(self._loop.time() - due)

    async def settle(self) -> tuple[int, str]:
        """Wait until every listener has the list of `top`: the number that has not, and a description of one."""
        http = Http(self._host, self._port, self._allowed)
        until = self._loop.time() + self._options.settle
        while True:
            apart: list[str] = []
            for board in self.boards:
                path = f"/v1/seasons/{board.season}/leaderboard/top?limit={self._options.limit}"
                status, body = await http.ask("GET", path)
                top = msgspec.json.decode(body)
                for one in self.listeners:
                    if one.board is board and (status != 200 or (one.rows, one.as_of) != (top["items"], top["asOf"])):
                        apart.append(f"a listener of {board.season} has {one.as_of or 'nothing'}, not {top}"[:200])
            if not apart or self._loop.time() > until:
                return len(apart), apart[0] if apart else ""
            await asyncio.sleep(0.1)


def percentile_of(counts: Sequence[int], percent: float) -> float:
    """The nearest-rank percentile of counted milliseconds; 0 without any."""
    wanted = math.ceil(sum(counts) * percent / 100)
    seen = 0
    for value, count in enumerate(counts):
        seen += count
        if wanted and seen >= wanted:
            return float(value)
    return 0.0


async def listen(options: argparse.Namespace) -> AudienceResult:
    """Listen until SIGTERM."""
    audience = Audience(options)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await audience.open()
    began, used = loop.time(), read_processor_s()
    watch = loop.create_task(audience.watch_lag())
    marks: list[asyncio.Task[None]] = []
    if options.marks:
        marks += [
            loop.create_task(audience.mark(part)) for n in range(MARKERS) if (part := audience.boards[n::MARKERS])
        ]
        # A listener that opens before the first marks has seen none.
        await asyncio.sleep(WARM_S)
        audience.delays[:] = [0] * len(audience.delays)
    announce_start()
    await stop.wait()
    audience.stopping = True
    seconds, cores = loop.time() - began, read_processor_s() - used
    watch.cancel()
    await asyncio.gather(*marks)
    events = sum(one.events for one in audience.listeners)
    apart, first_apart = await audience.settle()
    lags = sorted(audience.lags)
    return AudienceResult(
        listeners=len(audience.listeners),
        boards=len(audience.boards),
        events=events,
        marks=audience.marks,
        marks_refused=audience.marks_refused,
        delays=sum(audience.delays),
        p50_ms=percentile_of(audience.delays, 50),
        p90_ms=percentile_of(audience.delays, 90),
        p99_ms=percentile_of(audience.delays, 99),
        max_ms=percentile_of(audience.delays, 100),
        seconds=seconds,
        refused=sum(one.refused != 0 for one in audience.listeners),
        first_refused=next((f"{one.refused} {one.problem}"[:200] for one in audience.listeners if one.refused), ""),
        ended=sum(one.ended and not one.refused for one in audience.listeners),
        apart=apart,
        first_apart=first_apart,
        lag_p99_ms=lags[int(len(lags) * 0.99)] * 1000 if lags else 0.0,
        cores=cores / seconds if seconds else 0.0,
    )


def read_processor_s() -> float:
    """Seconds of this process on a core."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Run the program; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.load.audience", description="Listen to boards.")
    add: Any = parser.add_argument
    add("--url", required=True, help="address of the server, http://host:port")
    add("--season", required=True, help="the season, or the beginning of their names")
    add("--boards", type=int, default=1, metavar="N", help="number of seasons (%(default)s)")
    add("--listeners", type=int, required=True, metavar="N", help="number of streams")
    add("--marks", type=float, default=0.0, metavar="R", help="marks per second, of all boards (%(default)s)")
    add("--limit", type=int, default=10, metavar="N", help="players of a list (%(default)s)")
    add("--settle", type=float, default=SETTLE_S, metavar="S", help="seconds for the last changes (%(default)s)")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    result = uvloop.run(listen(parser.parse_args()))
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
