"""The open-loop generator, a program: ``python -m bench.load.generator``.

It sends requests at a fixed rate, each when it is due, however slow the answers are. Latency counts from the moment a
request was due, so it includes the wait for a free connection. The program prints `STARTED` when the load is running,
ends after ``--seconds`` or at SIGTERM, waits for the answers, and prints an `OpenLoopResult` as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import signal
import sys
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.load.open_loop_result import OpenLoopResult, summarize_latency

STARTED: Final = b"STARTED"
"""Printed when the load is running."""
CONNECTIONS: Final = 64
POOL: Final = 10_000
TICK_S: Final = 0.001
"""Interval at which due requests are sent."""
WARM_S: Final = 1.0
LAST_ANSWERS_S: Final = 5.0
HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"\r\ncontent-length:"

Request = tuple[bytes, bool]
"""Bytes of a request, and whether it is a write."""


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, generator: Generator) -> None:
        self.generator: Final = generator
        self.buffer = b""
        self.due: float | None = None
        self.writes = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transports of uvloop are not subclasses of those of asyncio.
        self.transport = cast(asyncio.Transport, transport)
        self.generator.free.append(self)

    def send(self, request: Request, due: float) -> None:
        data, self.writes = request
        self.due = due
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        # PERF: nearly every answer arrives in one piece, which is parsed without a copy.
        whole = self.buffer + data if self.buffer else data
        status = parse_status(whole)
        if status is None or self.due is None:
            self.buffer = whole
            return
        due, self.due, self.buffer = self.due, None, b""
        self.generator.record_answer(self, status, due)

    def connection_lost(self, exc: Exception | None) -> None:
        self.generator.record_loss(self)


def parse_status(buffer: bytes) -> int | None:
    """The status of the answer in the buffer, None until it is complete. Without a Content-Length its body is empty."""
    end = buffer.find(HEAD_END)
    if end < 0:
        return None
    head = buffer[: end + 2].lower()
    at = head.find(LENGTH)
    length = int(head[at + len(LENGTH) : head.find(b"\r", at + len(LENGTH))]) if at >= 0 else 0
    return int(buffer[9:12]) if len(buffer) >= end + len(HEAD_END) + length else None


def write_authorization(key: str) -> str:
    """The line of a head with a key; without a key none."""
    return f"Authorization: Bearer {key}\r\n" if key else ""


class RequestMaker:
    """Makes requests for random players: `reads` percent ask for a rank, the others submit a score."""

    def __init__(
        self, host: str, seasons: Sequence[str], seed: int, reads: int, player: str, pool: int, key: str
    ) -> None:
        self.dice: Final = random.Random(seed)
        self.reads: Final = reads / 100
        self.pool: Final = pool
        allowed = write_authorization(key)
        paths = [f"/v1/seasons/{season}" for season in seasons]
        self.gets: Final = [f"GET {path}/leaderboard/rank?userId={player}".encode() for path in paths]
        self.get_end: Final = f" HTTP/1.1\r\nHost: {host}\r\n{allowed}\r\n".encode()
        end = f"/scores HTTP/1.1\r\nHost: {host}\r\n{allowed}Content-Type: application/json\r\nContent-Length: "
        self.heads: Final = [f"POST {path}{end}".encode() for path in paths]
        self.player: Final = player.encode()

    def __call__(self) -> Request:
        dice = self.dice.random
        number = int(dice() * self.pool)
        season = int(dice() * len(self.heads)) if len(self.heads) > 1 else 0
        if self.reads and dice() < self.reads:
            return b"%b%d%b" % (self.gets[season], number, self.get_end), False
        body = b'{"userId":"%b%d","delta":%d}' % (self.player, number, 1 + int(dice() * 100))
        return b"%b%d\r\n\r\n%b" % (self.heads[season], len(body), body), True


class ReadMaker:
    """Makes reads that name random players: one at the end of `path`, or several in a body, all of them different."""

    def __init__(self, host: str, path: str, players: int, seed: int, player: str, pool: int, key: str) -> None:
        self.dice: Final = random.Random(seed)
        self.players: Final = players
        self.pool: Final = range(pool)
        kind = "\r\n" if players == 1 else "Content-Type: application/json\r\nContent-Length: "
        self.head: Final = (f"GET {path}{player}" if players == 1 else f"POST {path}").encode()
        self.end: Final = f" HTTP/1.1\r\nHost: {host}\r\n{write_authorization(key)}{kind}".encode()
        self.player: Final = player

    def __call__(self) -> Request:
        numbers = self.dice.sample(self.pool, self.players)
        if self.players == 1:
            return b"%b%d%b" % (self.head, numbers[0], self.end), False
        body = msgspec.json.encode({"userIds": [f"{self.player}{number}" for number in numbers]})
        return b"%b%b%d\r\n\r\n%b" % (self.head, self.end, len(body), body), False


class Generator:
    """Keeps the schedule, and counts requests and answers."""

    def __init__(self, make: Callable[[], Request], rate: float) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self.make: Final = make
        self.rate: Final = rate
        self.free: Final[deque[Connection]] = deque()
        self.waiting: Final[deque[float]] = deque()
        self.read_us: Final = array("L")
        self.write_us: Final = array("L")
        self.lag_us: Final = array("L")
        self.accepted = self.written = self.refused = self.broken = self.offered = 0
        self.seconds = self.until_answered = 0.0

    async def run(self, stop: asyncio.Event, seconds: float | None, started_at: Callable[[], None]) -> None:
        """Send requests for `seconds` or until `stop` is set, then wait for the answers in flight."""
        started = self.loop.time()
        said = False
        while not stop.is_set():
            await asyncio.sleep(TICK_S)
            now = self.loop.time()
            if seconds is not None and now - started >= seconds:
                break
            while (due := started + self.offered / self.rate) <= now:
                self.offered += 1
                self.lag_us.append(int((now - due) * 1e6))
                self.waiting.append(due)
            self.send()
            if not said and now - started >= WARM_S:
                said = True
                started_at()
        if not said:
            started_at()
        self.seconds = self.loop.time() - started
        until = self.loop.time() + LAST_ANSWERS_S
        while self.accepted + self.refused + self.broken < self.offered and self.loop.time() < until:
            await asyncio.sleep(TICK_S)
        self.until_answered = self.loop.time() - started

    def send(self) -> None:
        """Send the requests that are due, as far as connections are free."""
        free, waiting, make = self.free, self.waiting, self.make
        while waiting and free:
            free.popleft().send(make(), waiting.popleft())

    def record_answer(self, connection: Connection, status: int, due: float) -> None:
        """Count an answer, and free its connection."""
        took = int((self.loop.time() - due) * 1e6)
        if connection.writes:
            self.write_us.append(took)
        else:
            self.read_us.append(took)
        if status == (202 if connection.writes else 200):
            self.accepted += 1
            self.written += connection.writes
        else:
            self.refused += 1
        self.free.append(connection)
        if self.waiting:
            self.send()

    def record_loss(self, connection: Connection) -> None:
        """Count the request in flight on a lost connection as broken."""
        if connection.due is not None:
            self.broken += 1
        elif connection in self.free:
            self.free.remove(connection)

    def result(self) -> OpenLoopResult:
        """The figures. Requests that were never sent or answered count as broken."""
        lags = summarize_latency(self.lag_us)
        return OpenLoopResult(
            rate=self.rate,
            offered_per_s=self.offered / self.seconds if self.seconds else 0.0,
            answered_per_s=self.accepted / self.until_answered if self.until_answered else 0.0,
            offered=self.offered,
            accepted=self.accepted,
            written=self.written,
            refused=self.refused,
            broken=self.offered - self.accepted - self.refused,
            all=summarize_latency([*self.read_us, *self.write_us]),
            reads=summarize_latency(self.read_us),
            writes=summarize_latency(self.write_us),
            lag_p99_ms=lags.p99_ms,
            lag_max_ms=lags.max_ms,
        )


def name_seasons(season: str, boards: int) -> list[str]:
    """The seasons of a load: the one, or so many whose names begin with it."""
    return [season] if boards == 1 else [f"{season}-{n}" for n in range(boards)]


def announce_start() -> None:
    """Tell the parent process that the load is running."""
    sys.stdout.buffer.write(STARTED + b"\n")
    sys.stdout.buffer.flush()


async def generate(options: argparse.Namespace) -> OpenLoopResult:
    """Generate the load until its time is over or SIGTERM arrives."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    target = urlsplit(options.url)
    key = os.environ.get("LEADERBOARD_KEY", "")
    make: Callable[[], Request]
    if options.ask:
        make = ReadMaker(target.netloc, options.ask, options.players, options.seed, options.player, options.pool, key)
    else:
        seasons = name_seasons(options.season, options.boards)
        make = RequestMaker(target.netloc, seasons, options.seed, options.reads, options.player, options.pool, key)
    generator = Generator(make, options.rate)
    for _ in range(options.connections):
        await loop.create_connection(lambda: Connection(generator), target.hostname, target.port or 80)
    # A collection in the middle would be a pause of the generator's own; nothing here makes cycles.
    gc.disable()
    await generator.run(stop, options.seconds, announce_start)
    return generator.result()


def main() -> int:
    """Run the program; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.generator", description="Send requests at a fixed rate, open loop."
    )
    add = parser.add_argument
    add("--url", required=True, help="address of the server, http://host:port")
    add("--season", required=True, help="season of all requests, or the beginning of their names")
    add("--boards", type=int, default=1, metavar="N", help="number of seasons (%(default)s)")
    add("--rate", type=float, required=True, help="requests per second")
    add("--seconds", type=float, help="duration (until SIGTERM)")
    add("--reads", type=int, default=0, metavar="PERCENT", help="share of requests that read a rank (%(default)s)")
    add("--ask", default="", metavar="PATH", help="read this path, with a player at its end, and nothing else")
    add(
        "--players",
        type=int,
        default=1,
        metavar="N",
        help="players of such a read; several are in a body (%(default)s)",
    )
    add("--player", default="paced-", metavar="PREFIX", help="prefix of player ids (%(default)s)")
    add("--pool", type=int, default=POOL, metavar="N", help="number of players (%(default)s)")
    add("--connections", type=int, default=CONNECTIONS, metavar="N", help="(%(default)s)")
    add("--seed", type=int, default=1, help="of players and scores (%(default)s)")
    result = uvloop.run(generate(parser.parse_args()))
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
