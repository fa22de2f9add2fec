"""Open-loop load: so many requests a second, sent when they are due, however slow the answers are.

A program of its own (``python -m bench.load.generator``): it starts, says so, asks until its time is up or SIGTERM,
waits for the answers and prints an `open_loop_result.Paced` as JSON. Latency counts from the moment a request was due,
so waiting for a free connection is in it.
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
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.load.open_loop_result import Paced, latency

STARTED: Final = b"STARTED"
CONNECTIONS: Final = 64
POOL: Final = 10_000
TICK_S: Final = 0.001
WARM_S: Final = 1.0
LAST_ANSWERS_S: Final = 5.0
HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"\r\ncontent-length:"

Made = tuple[bytes, bool]
"""A request, and whether it writes."""


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer: Final = pacer
        self.buffer = b""
        self.due: float | None = None
        self.writes = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.pacer.free.append(self)

    def send(self, made: Made, due: float) -> None:
        request, self.writes = made
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        # PERF: nearly every answer is one piece, which is then looked at where it lies.
        whole = self.buffer + data if self.buffer else data
        status = answer_in(whole)
        if status is None or self.due is None:
            self.buffer = whole
            return
        due, self.due, self.buffer = self.due, None, b""
        self.pacer.answered(self, status, due)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pacer.lost(self)


def answer_in(buffer: bytes) -> int | None:
    """The status of the answer in the buffer once all of it is there; it has to carry a Content-Length."""
    end = buffer.find(HEAD_END)
    if end < 0:
        return None
    head = buffer[: end + 2].lower()
    at = head.find(LENGTH)
    length = int(head[at + len(LENGTH) : head.find(b"\r", at + len(LENGTH))]) if at >= 0 else 0
    return int(buffer[9:12]) if len(buffer) >= end + len(HEAD_END) + length else None


class Requests:
    """Makes requests: of each hundred, so many ask for the rank of a player, the others submit a score for one."""

    def __init__(self, host: str, season: str, seed: int, reads: int, player: str, pool: int, key: str) -> None:
        self.dice: Final = random.Random(seed)
        self.reads: Final = reads / 100
        self.pool: Final = pool
        allowed = f"Authorization: Bearer {key}\r\n" if key else ""
        path = f"/v1/seasons/{season}"
        self.get: Final = f"GET {path}/leaderboard/rank?userId={player}".encode()
        self.get_end: Final = f" HTTP/1.1\r\nHost: {host}\r\n{allowed}\r\n".encode()
        head = f"POST {path}/scores HTTP/1.1\r\nHost: {host}\r\n{allowed}Content-Type: application/json\r\n"
        self.head: Final = f"{head}Content-Length: ".encode()
        self.player: Final = player.encode()

    def __call__(self) -> Made:
        dice = self.dice.random
        number = int(dice() * self.pool)
        if self.reads and dice() < self.reads:
            return b"%b%d%b" % (self.get, number, self.get_end), False
        body = b'{"userId":"%b%d","delta":%d}' % (self.player, number, 1 + int(dice() * 100))
        return b"%b%d\r\n\r\n%b" % (self.head, len(body), body), True


class Pacer:
    """Keeps the schedule and the counts."""

    def __init__(self, make: Callable[[], Made], rate: float) -> None:
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
        """Offer requests until told to stop, then wait for what is out."""
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
        """Everything that is due, as far as connections are free."""
        free, waiting, make = self.free, self.waiting, self.make
        while waiting and free:
            free.popleft().send(make(), waiting.popleft())

    def answered(self, connection: Connection, status: int, due: float) -> None:
        """One answer has come."""
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

    def lost(self, connection: Connection) -> None:
        """A connection is gone, and with it the answer it owed."""
        if connection.due is not None:
            self.broken += 1
        elif connection in self.free:
            self.free.remove(connection)

    def result(self) -> Paced:
        """The figures; what was never sent or answered counts as broken."""
        lags = latency(self.lag_us)
        return Paced(
            rate=self.rate,
            offered_per_s=self.offered / self.seconds if self.seconds else 0.0,
            answered_per_s=self.accepted / self.until_answered if self.until_answered else 0.0,
            offered=self.offered,
            accepted=self.accepted,
            written=self.written,
            refused=self.refused,
            broken=self.offered - self.accepted - self.refused,
            all=latency([*self.read_us, *self.write_us]),
            reads=latency(self.read_us),
            writes=latency(self.write_us),
            lag_p99_ms=lags.p99_ms,
            lag_max_ms=lags.max_ms,
        )


def say_started() -> None:
    """Tell the parent that the load is on."""
    sys.stdout.buffer.write(STARTED + b"\n")
    sys.stdout.buffer.flush()


async def offer(options: argparse.Namespace) -> Paced:
    """Ask until the time is up or SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    target = urlsplit(options.url)
    key = os.environ.get("LEADERBOARD_KEY", "")
    make = Requests(target.netloc, options.season, options.seed, options.reads, options.player, options.pool, key)
    pacer = Pacer(make, options.rate)
    for _ in range(options.connections):
        await loop.create_connection(lambda: Connection(pacer), target.hostname, target.port or 80)
    # A collection in the middle would be a pause of the generator's own; nothing here makes cycles.
    gc.disable()
    await pacer.run(stop, options.seconds, say_started)
    return pacer.result()


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m bench.load.generator", description="Ask at a fixed rate.")
    add = parser.add_argument
    add("--url", required=True, help="of the server, http://host:port")
    add("--season", required=True)
    add("--rate", type=float, required=True, help="requests a second")
    add("--seconds", type=float, help="end after so long (else at SIGTERM)")
    add("--reads", type=int, default=0, metavar="PERCENT", help="of the requests that read a rank (%(default)s)")
    add("--player", default="paced-", metavar="PREFIX", help="of the players' ids (%(default)s)")
    add("--pool", type=int, default=POOL, metavar="N", help="players (%(default)s)")
    add("--connections", type=int, default=CONNECTIONS, metavar="N")
    add("--seed", type=int, default=1)
    paced = uvloop.run(offer(parser.parse_args()))
    sys.stdout.buffer.write(msgspec.json.encode(paced) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
