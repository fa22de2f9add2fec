"""Open-loop writes: so many POSTs a second, sent when they are due, however slow the answers are.

A program of its own (``python -m bench.pacer``): it starts, says so, writes until SIGTERM, waits for the answers and
prints its figures as JSON. Latency counts from the moment a request was due, so waiting for a free connection is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
from collections import deque
from typing import Final, cast

import msgspec
import uvloop

from bench.figures import percentile

STARTED: Final = b"STARTED"
CONNECTIONS: Final = 64
POOL: Final = 10_000
TICK_S: Final = 0.001
WARM_S: Final = 1.0
LAST_ANSWERS_S: Final = 5.0


class Paced(msgspec.Struct, frozen=True):
    """Requests offered a second, and what became of all of them; latencies in ms from when each was due."""

    offered_per_s: float
    accepted: int
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer: Final = pacer
        self.buffer = b""
        self.due: float | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.pacer.free.append(self)

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        status = answer_in(self.buffer)
        if status is None or self.due is None:
            return
        due, self.due, self.buffer = self.due, None, b""
        self.pacer.answered(self, status, due)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pacer.lost(self)


def answer_in(buffer: bytes) -> int | None:
    """The status of the answer in the buffer once all of it is there; it has to carry a Content-Length."""
    head, end, body = buffer.partition(b"\r\n\r\n")
    if not end:
        return None
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return int(head.split(b" ", 2)[1]) if len(body) >= length else None


class Pacer:
    """Keeps the schedule and the counts."""

    def __init__(self, path: str, rate: int, seed: int) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self.rate: Final = rate
        self.dice: Final = random.Random(seed)
        key = os.environ.get("LEADERBOARD_KEY")
        allowed = f"Authorization: Bearer {key}\r\n" if key else ""
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{allowed}Content-Type: application/json\r\nContent-Length: "
        self.head: Final = head.encode()
        self.free: Final[deque[Connection]] = deque()
        self.waiting: Final[deque[float]] = deque()
        self.latencies: Final[list[float]] = []
        self.accepted = self.refused = self.broken = self.offered = 0
        self.seconds = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Offer requests until told to stop, then wait for what is out."""
        started = self.loop.time()
        said = False
        while not stop.is_set():
            await asyncio.sleep(TICK_S)
            now = self.loop.time()
            while (due := started + self.offered / self.rate) <= now:
                self.offered += 1
                self.waiting.append(due)
            self.send()
            if not said and now - started >= WARM_S:
                said = True
                sys.stdout.buffer.write(STARTED + b"\n")
                sys.stdout.buffer.flush()
        self.seconds = self.loop.time() - started
        until = self.loop.time() + LAST_ANSWERS_S
        while self.accepted + self.refused + self.broken < self.offered and self.loop.time() < until:
            await asyncio.sleep(TICK_S)

    def send(self) -> None:
        """Everything that is due, as far as connections are free."""
        while self.waiting and self.free:
            body = b'{"userId":"paced-%d","delta":%d}' % (self.dice.randrange(POOL), self.dice.randrange(1, 101))
            self.free.popleft().send(b"%b%d\r\n\r\n%b" % (self.head, len(body), body), self.waiting.popleft())

    def answered(self, connection: Connection, status: int, due: float) -> None:
        """One answer has come."""
        self.latencies.append((self.loop.time() - due) * 1000)
        if status == 202:
            self.accepted += 1
        else:
            self.refused += 1
        self.free.append(connection)
        self.send()

    def lost(self, connection: Connection) -> None:
        """A connection is gone, and with it the answer it owed."""
        if connection.due is not None:
            self.broken += 1
        elif connection in self.free:
            self.free.remove(connection)

    def result(self) -> Paced:
        """The figures; what was never sent or answered counts as broken."""
        broken = self.offered - self.accepted - self.refused
        latencies = self.latencies or [0.0]
        rate = self.offered / self.seconds if self.seconds else 0.0
        return Paced(rate, self.accepted, self.refused, broken, percentile(latencies, 50), percentile(latencies, 99))


async def offer(port: int, path: str, rate: int, seed: int) -> Paced:
    """Write until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pacer = Pacer(path, rate, seed)
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Connection(pacer), "127.0.0.1", port)
    await pacer.run(stop)
    return pacer.result()


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m bench.pacer", description="Write scores at a fixed rate.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    paced = uvloop.run(offer(options.port, options.path, options.rate, options.seed))
    sys.stdout.buffer.write(msgspec.json.encode(paced) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
