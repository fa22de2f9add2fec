"""The traffic of all workers over the last hours: samples of their metrics, in memory that they share.

gunicorn's master takes a sample every few seconds, so no end of a worker loses any; workers read. The memory is freed
with the master.
"""

from __future__ import annotations

import datetime
import mmap
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from board.observe.metrics import SLOT, Metric, Sheet
from service.admin.types import Latency, Traffic, TrafficPoint
from service.contract.answers import JSON
from service.routes import OPERATIONS
from service.telemetry.metrics import (
    BATCH,
    LATENCY,
    LISTENERS,
    NAMES,
    QUEUES,
    REGISTRY,
    REQUESTS,
    STATUSES,
    WORKERS,
)

STEP_S: Final = 5.0
"""From one sample to the next."""
KEPT_S: Final = 6 * 3_600
LEAST_S: Final = 4
"""The shortest time that is the present."""
LATEST_S: Final = 30
"""The longest one."""
POINTS_MOST: Final = 120
NS: Final = 1_000_000_000

SUBMITTING: Final = ("submitScore", "submitScores")
READING: Final = tuple(
    one.name for one in OPERATIONS if one.scope == "read" and "/leaderboard/" in one.path and one.media_type == JSON
)
_BUCKETS: Final = len(LATENCY.bounds) + 1
"""The buckets of the metric of latencies: one for each bound, and one for what is slower."""


def _list_slots() -> list[list[int]]:
    """The slots of the metrics whose sum is one figure of a sample, figure by figure."""
    place = REGISTRY.place
    failed = [status for status in STATUSES if status.startswith("5")]
    answered = [status for status in STATUSES if status not in failed]
    return [
        [place(BATCH, queue) + BATCH.width - 1 for queue in QUEUES],
        [place(REQUESTS, name, status) for name in READING for status in answered],
        [place(REQUESTS, name, status) for name in NAMES for status in failed],
        *([place(LATENCY, name) + bucket for name in SUBMITTING] for bucket in range(_BUCKETS)),
        *([place(LATENCY, name) + bucket for name in READING] for bucket in range(_BUCKETS)),
    ]


SLOTS: Final = _list_slots()
"""A figure each: submissions in commits, answered reads, failures (5xx), then the buckets of both kinds' latencies."""
GAUGES: Final = (REGISTRY.place(WORKERS), REGISTRY.place(LISTENERS, "streams"), REGISTRY.place(LISTENERS, "long_polls"))
WIDTH: Final = 2 + len(SLOTS)
"""Numbers of a sample: the monotonic clock and the wall clock in ns, then a count for each figure."""


class Sample(msgspec.Struct, frozen=True):
    """Counts since the server started, and the two clocks, in ns."""

    clock: int
    wall: int
    counts: Sequence[int]


class TrafficHistory:
    """The samples of one server. The master writes, the workers read; a worker that is forked later sees all.

    `clocks` give the monotonic clock and the wall clock in ns.
    """

    def __init__(
        self,
        sheet: Sheet,
        clocks: Callable[[], tuple[int, int]] = lambda: (time.monotonic_ns(), time.time_ns()),
        *,
        kept: int = int(KEPT_S / STEP_S),
    ) -> None:
        self._sheet: Final = sheet
        self._clocks: Final = clocks
        self._kept: Final = kept
        # One more than is read: the one that the master writes.
        self._cells: Final = memoryview(mmap.mmap(-1, (1 + (kept + 1) * WIDTH) * SLOT)).cast("q")
        self._due = 0

    def keep_sampling(self) -> None:
        """Take a sample, if it is time for one. Only the master calls this, about once a second."""
        clock, wall = self._clocks()
        if clock < self._due:
            return
        self._due = clock + int(STEP_S * NS)
        number = self._cells[0]
        at = self._place(number)
        for offset, value in enumerate((clock, wall, *self._count())):
            self._cells[at + offset] = value
        # Last: a reader takes what is below.
        self._cells[0] = number + 1

    def _place(self, number: int) -> int:
        return 1 + number % (self._kept + 1) * WIDTH

    def _count(self) -> list[int]:
        totals = self._sheet.totals_of([slot for slots in SLOTS for slot in slots])
        return [sum(totals[slot] for slot in slots) for slots in SLOTS]

    def _read(self, number: int) -> Sample:
        at = self._place(number)
        clock, wall, *counts = self._cells[at : at + WIDTH]
        return Sample(clock, wall, counts)

    def _list(self, since: int) -> list[Sample]:
        """The samples since an instant of the monotonic clock, at equal distances, `POINTS_MOST` at most and one."""
        last = self._cells[0]
        numbers = range(max(0, last - self._kept), last)
        # Samples are in order: the first one that is late enough.
        low, high = 0, len(numbers)
        while low < high:
            middle = (low + high) // 2
            if self._read(numbers[middle]).clock < since:
                low = middle + 1
            else:
                high = middle
        wanted = numbers[low:]
        step = -(-len(wanted) // POINTS_MOST) or 1
        # Backwards from the last one, and the same ones each time as long as the step is the same.
        return [self._read(n) for n in wanted if n % step == (last - 1) % step]

    def read(self, seconds: int) -> Traffic:
        """The traffic of the last seconds, and that of the present."""
        clock, wall = self._clocks()
        now = Sample(clock, wall, self._count())
        samples = self._list(clock - seconds * NS)
        points = [compare(before, after) for before, after in pairwise(samples)]
        recent = [one for one in self._list(clock - LATEST_S * NS) if clock - one.clock >= LEAST_S * NS]
        taken = self._cells[0]
        gauges = self._sheet.totals_of(GAUGES)
        return Traffic(
            workers=gauges[GAUGES[0]],
            streams=gauges[GAUGES[1]],
            long_polls=gauges[GAUGES[2]],
            since=to_instant(self._read(max(0, taken - self._kept)).wall) if taken else None,
            latest=compare(recent[-1], now) if recent else None,
            points=points,
        )


def compare(before: Sample, after: Sample) -> TrafficPoint:
    """The traffic between two samples."""
    seconds = (after.clock - before.clock) / NS
    submissions, reads, failures, *buckets = (
        max(0, new - old) for old, new in zip(before.counts, after.counts, strict=True)
    )
    return TrafficPoint(
        at=to_instant(after.wall),
        seconds=round(seconds, 3),
        submissions_per_s=round(submissions / seconds, 3),
        reads_per_s=round(reads / seconds, 3),
        failures_per_s=round(failures / seconds, 3),
        submission=find_latency(buckets[:_BUCKETS]),
        read=find_latency(buckets[_BUCKETS:]),
    )


def find_latency(buckets: Sequence[int]) -> Latency | None:
    """The median and the p99 of counted latencies; None without any."""
    if not any(buckets):
        return None
    return Latency(find_quantile(buckets, 0.5, LATENCY), find_quantile(buckets, 0.99, LATENCY))


def find_quantile(buckets: Sequence[int], share: float, metric: Metric) -> float:
    """A quantile in ms, by a line through its bucket, as Prometheus does; the last bound for all that is above it."""
    wanted = share * sum(buckets)
    seen = 0
    low = 0.0
    for number, high in zip(buckets, metric.bounds, strict=False):
        if number and seen + number >= wanted:
            return round(1_000 * (low + (high - low) * (wanted - seen) / number), 3)
        seen += number
        low = high
    return 1_000 * metric.bounds[-1]


def to_instant(wall_ns: int) -> datetime.datetime:
    """An instant of the wall clock, in whole milliseconds."""
    return datetime.datetime.fromtimestamp(wall_ns // 1_000_000 / 1_000, datetime.UTC)
