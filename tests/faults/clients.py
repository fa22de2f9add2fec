"""Faults that clients make for others: a flood whose answers stay unread, and items that need a statement each."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec
from support.processes import alive, answers, resident

from faults.connection import Connection, Unanswered
from faults.generate import Generator
from faults.injections import fault
from faults.rig import Rig

FLOODERS: Final = 50
FLOOD: Final = b"GET /x HTTP/1.1\r\nHost:x\r\n\r\n" * 22_000
FLOOD_S: Final = 8.0
MB: Final = 1_000_000


class Watch:
    """The memory of the workers and the time of a probe, looked at again and again."""

    def __init__(self, rig: Rig) -> None:
        self.workers: Final = rig.workers()
        self.before: Final = self.read()
        self.most = list(self.before)
        self.waits: list[float] = []
        self.silent = 0
        """Probes without an answer within ten seconds."""
        self._port: Final = rig.port

    def read(self) -> list[int]:
        """Bytes that each worker holds; 0 for one that has ended."""
        return [resident(pid) if alive({pid}) else 0 for pid in self.workers]

    def look(self) -> None:
        """Look once; `/livez` on a connection of its own."""
        began = time.monotonic()
        self.silent += not answers(self._port)
        self.waits.append(time.monotonic() - began)
        self.most = [max(pair) for pair in zip(self.most, self.read(), strict=True)]


@contextmanager
def counted(load: Generator) -> Iterator[dict[str, float]]:
    """How many of the load's submissions a second are acknowledged inside the block."""
    told: dict[str, float] = {}
    began, before = time.monotonic(), load.acknowledged
    yield told
    told["rate"] = round((load.acknowledged - before) / (time.monotonic() - began))


@fault("overload: pipelining flood, answers unread", rounds=2, no_failure=True)
def pipelining_flood(rig: Rig, rng: random.Random, load: Generator) -> None:
    """Each of 50 clients sends 22,000 requests at once and reads nothing, while others play."""
    with counted(load) as calm:
        time.sleep(FLOOD_S)
    watch = Watch(rig)
    with ExitStack() as stack, counted(load) as flooded:
        clients = [stack.enter_context(socket.socket()) for _ in range(FLOODERS)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", rig.port))
            client.setblocking(False)
        left = {client: memoryview(FLOOD) for client in clients}
        until = time.monotonic() + FLOOD_S
        while time.monotonic() < until:
            for client, rest in left.items():
                left[client] = rest[push(client, rest) :]
            watch.look()
            load.check()
    grown = max(most - before for most, before in zip(watch.most, watch.before, strict=True))
    for name, value in (
        ("workers' memory before, MB", max(watch.before) / MB),
        ("workers' memory at most, MB", max(watch.most) / MB),
        ("/livez at most, ms", max(watch.waits) * 1000),
        ("submissions accepted a second without the flood", calm["rate"]),
        ("submissions accepted a second beside the flood", flooded["rate"]),
    ):
        load.measure(f"flood: {name}", round(value))
    assert alive(set(watch.workers)) == set(watch.workers), "a worker has ended"
    assert not watch.silent, f"{watch.silent} probes were not answered"
    assert grown < 60 * MB, f"a worker has grown by {grown / MB:.0f} MB"
    assert flooded["rate"] > calm["rate"] / 3, load.figures


def push(client: socket.socket, data: memoryview) -> int:
    """Send as much as the server takes now; returns how many bytes that was."""
    try:
        return client.send(data) if data else 0
    except BlockingIOError:
        return 0


EDGE: Final = 2**62
MOST: Final = 5_000
VICTIMS: Final = 6
SHARE_S: Final = 8.0


class Batches(msgspec.Struct):
    """What became of one kind of client's batches: their number by status, and the items that were accepted.

    A batch of which an item was not accepted has that item's status.
    """

    statuses: dict[int, int] = msgspec.field(default_factory=dict)
    items: int = 0

    def count(self, *statuses: int) -> int:
        """Batches with these statuses; 0: without an answer."""
        return sum(self.statuses.get(status, 0) for status in statuses)


@fault("overload: items near the edge of 64 bits", rounds=2)
def edge_items(rig: Rig, rng: random.Random, load: Generator) -> None:
    """Two clients post batches of 5,000 items of one player each; others' batches go on beside them."""
    name = rng.randrange(10**6)
    ordinary = asyncio.run(compete(rig.port, f"ordinary{name}", 1))
    edge = asyncio.run(compete(rig.port, f"edge{name}", EDGE))
    for kind, (others, own) in (("beside ordinary items", ordinary), ("beside items near the edge", edge)):
        load.measure(f"shares: batches of others accepted in 8 s, {kind}", others.count(200))
        load.measure(f"shares: batches of others refused, {kind}", others.count(0, 503, 504))
        load.measure(f"shares: items of the two accepted, {kind}", own.items)
    with rig.postgres_connection() as db:
        # The judge reads the whole ledger again and again.
        db.execute("DELETE FROM ledger WHERE starts_with(user_id, 'edge') OR starts_with(user_id, 'ordinary')")
    assert edge[0].count(200) > ordinary[0].count(200) / 3, load.figures


async def compete(port: int, player: str, delta: int) -> tuple[Batches, Batches]:
    """Both kinds of clients for `SHARE_S` seconds: the others, and the two."""
    # Near the edge, each item takes back the one before: nearly all are accepted, one by one.
    sign = -1 if delta == EDGE else 1
    until = time.monotonic() + SHARE_S
    others, own = Batches(), Batches()
    bodies = [encode([(f"{player}-{n}", delta), (f"{player}-{n}", sign * delta)] * (MOST // 2)) for n in range(2)]
    async with asyncio.TaskGroup() as group:
        for body in bodies:
            group.create_task(post(port, until, own, body))
        for n in range(VICTIMS):
            body = encode([(f"{player}-other{n}-{at}", 1) for at in range(20)])
            group.create_task(post(port, until, others, body))
    return others, own


def encode(items: list[tuple[str, int]]) -> bytes:
    """The body of a batch."""
    return msgspec.json.encode({"submissions": [{"userId": user, "delta": delta} for user, delta in items]})


async def post(port: int, until: float, told: Batches, body: bytes) -> None:
    """One client: the same batch again and again, each when the one before is answered."""
    connection = Connection(port)
    while time.monotonic() < until:
        try:
            await connection.send("POST", "/v1/seasons/shares~probe/scores/batch", body)
            status, answer = await connection.receive()
        except (Unanswered, OSError):
            status, answer = 0, None
        if status == 200:
            told.items += sum(result["status"] == 202 for result in answer["results"])
        whole = status != 200 or all(result["status"] == 202 for result in answer["results"])
        status = status if whole else max(result["status"] for result in answer["results"])
        told.statuses[status] = told.statuses.get(status, 0) + 1
    connection.drop()
