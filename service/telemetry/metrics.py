"""All metrics of the API, and their recording."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from board.errors import BoardUnavailable
from board.observe.metrics import NS, Metric, Registry, Row
from board.redis.async_redis import AsyncRedis, pack
from service.contract.problems import PROBLEMS
from service.routes import OPERATIONS

OTHER: Final = "other"
NAMES: Final = (*(op.name for op in OPERATIONS), OTHER)
"""The operations' names in the OpenAPI document; `other` counts all other requests, also malformed HTTP."""
_CODES: Final = sorted(
    {*(p.status for p in PROBLEMS.values()), *(status for op in OPERATIONS for status in op.answers)}
)
STATUSES: Final = (*map(str, _CODES), OTHER)
QUEUES: Final = ("scores", "batch")

_OPERATION: Final = ("operation", NAMES)
_QUEUE: Final = ("queue", QUEUES)
_LISTENER: Final = ("kind", ("streams", "streams_of_players", "long_polls"))
_LATENCY: Final = (
    0.00025, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.5,
)  # fmt: skip

# The rate of its 5xx is the part of a failure that users see.
REQUESTS: Final = Metric(
    "leaderboard_http_requests_total",
    "Answered requests.",
    "counter",
    (_OPERATION, ("status", STATUSES)),
    sparse=True,
)
# From the last byte of the head to the answer; a submission's includes its commit.
LATENCY: Final = Metric(
    "leaderboard_http_request_seconds",
    "Time from a request's head to its answer.",
    "histogram",
    (_OPERATION,),
    _LATENCY,
    NS,
    sparse=True,
)
# Near LEADERBOARD_INTAKE_QUEUE, clients will soon be refused with 503.
DEPTH: Final = Metric("leaderboard_intake_queued", "Submissions that wait for their commit.", "gauge", (_QUEUE,))
# Grows with load. A constant 1 means an idle server.
BATCH: Final = Metric(
    "leaderboard_intake_batch_size",
    "Submissions in one statement and commit.",
    "histogram",
    (_QUEUE,),
    (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000),
)
# The time of PostgreSQL, including the flush of the disk.
COMMIT: Final = Metric(
    "leaderboard_intake_commit_seconds",
    "Time of one statement with its commit.",
    "histogram",
    (_QUEUE,),
    _LATENCY,
    NS,
)
# 0 for a queue in use means that PostgreSQL cannot be reached.
CONNECTIONS: Final = Metric("leaderboard_intake_connections", "Open PostgreSQL connections.", "gauge", (_QUEUE,))
# On the connection and queue of the reads.
REDIS: Final = Metric(
    "leaderboard_redis_ping_seconds",
    "Round trip of a PING twice a second on the connection of the reads.",
    "histogram",
    bounds=_LATENCY,
    step=NS,
)
REDIS_FAILURES: Final = Metric("leaderboard_redis_ping_failures_total", "PINGs without an answer in time.", "counter")
REDIS_WAITING: Final = Metric("leaderboard_redis_waiting", "Commands that wait for Redis' reply.", "gauge")
# A timer's lateness is the time that every request of the worker waits before it is read.
LAG: Final = Metric(
    "leaderboard_event_loop_lag_seconds",
    "How late a timer of the event loop fires, looked at twice a second.",
    "histogram",
    bounds=_LATENCY,
    step=NS,
)
# At 128 MiB a worker refuses the requests that have been incomplete for longest.
HELD: Final = Metric("leaderboard_http_held_bytes", "Bytes of large requests and of unread answers.", "gauge")
# Near its limit, streams are soon refused with 503, and long polls answered at once.
LISTENERS: Final = Metric(
    "leaderboard_listeners",
    "Open streams, those of them with `userId`, and reads that wait for a change.",
    "gauge",
    (_LISTENER,),
)
LISTENERS_LIMIT: Final = Metric(
    "leaderboard_listeners_limit", "How many of each kind the workers take at once.", "gauge", (_LISTENER,)
)
DROPPED: Final = Metric(
    "leaderboard_streams_dropped_total", "Streams that ended while their client did not read.", "counter"
)
WORKERS: Final = Metric("leaderboard_workers", "Workers that serve.", "gauge")
STARTS: Final = Metric("leaderboard_worker_starts_total", "Workers that were started.", "counter")

REGISTRY: Final = Registry(
    (
        REQUESTS,
        LATENCY,
        DEPTH,
        BATCH,
        COMMIT,
        CONNECTIONS,
        REDIS,
        REDIS_FAILURES,
        REDIS_WAITING,
        LAG,
        HELD,
        LISTENERS,
        LISTENERS_LIMIT,
        DROPPED,
        WORKERS,
        STARTS,
    )
)

SAMPLE_S: Final = 0.5
"""The pause between two samples."""


class Traffic:
    """Counts the answers of one worker. PERF: `note` is on the hot path and writes a count, a bucket and a sum."""

    def __init__(self, row: Row) -> None:
        self._cells: Final = row.cells
        self._counts: Final = [REGISTRY.place(REQUESTS, name, STATUSES[0]) for name in NAMES]
        self._spreads: Final = [REGISTRY.place(LATENCY, name) for name in NAMES]
        self._offsets: Final = {code: at for at, code in enumerate(_CODES)}
        self._edges: Final = REGISTRY.edges[LATENCY.name]
        self._sum: Final = len(self._edges) + 1

    def note(self, operation: int, status: int, started_ns: int) -> None:
        """Count an answer. `operation` is an index in `NAMES`, `started_ns` the request's start (`perf_counter_ns`)."""
        took = perf_counter_ns() - started_ns
        cells = self._cells
        cells[self._counts[operation] + self._offsets.get(status, len(_CODES))] += 1
        at = self._spreads[operation]
        cells[at + bisect_left(self._edges, took)] += 1
        cells[at + self._sum] += took


def observe_batches(row: Row, queue: str) -> Callable[[int, int], None]:
    """Make the `on_batch` of an intake: it records a batch's number of submissions, and its nanoseconds."""

    def note(size: int, took_ns: int) -> None:
        row.observe(BATCH, size, queue)
        row.observe(COMMIT, took_ns, queue)

    return note


async def sample_worker(
    row: Row,
    redis: AsyncRedis,
    intakes: dict[str, Any],
    held_bytes: Callable[[], int],
    count_listeners: Callable[[], dict[str, tuple[int, int]]],
) -> None:
    """Sample gauges, the loop's lag and the ping of Redis every `SAMPLE_S` seconds, until cancelled.

    `count_listeners` gives the number of listeners and its limit, by kind.
    """
    row.put(WORKERS, 1)
    row.add(STARTS)
    ping = pack((b"PING",))
    while True:
        before = perf_counter_ns()
        await asyncio.sleep(SAMPLE_S)
        row.observe(LAG, max(0, perf_counter_ns() - before - int(SAMPLE_S / NS)))
        for queue, intake in intakes.items():
            row.put(DEPTH, intake.depth, queue)
            row.put(CONNECTIONS, intake.connections, queue)
        row.put(REDIS_WAITING, redis.waiting)
        row.put(HELD, held_bytes())
        for kind, (number, most) in count_listeners().items():
            row.put(LISTENERS, number, kind)
            row.put(LISTENERS_LIMIT, most, kind)
        started = perf_counter_ns()
        try:
            await redis.ask(ping)
            row.observe(REDIS, perf_counter_ns() - started)
        except BoardUnavailable:
            row.add(REDIS_FAILURES)
