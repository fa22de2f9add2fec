"""Metrics of many processes: fixed 64-bit slots in shared memory that outlives each process.

A launcher creates a `Sheet` of rows. Each process writes its own row only, so no lock is needed and no increment is
lost. When a process ends or is killed, its row stays, and the next process goes on counting in it. One exporter reads
all rows. PERF: in one run, a counter and a histogram cost 8 to 11 times as much in prometheus_client's multiprocess
mode (docs/decisions.md). That library still writes the text (`board.observe.exporter`).
"""

from __future__ import annotations

import itertools
import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]
Cells = memoryview
"""The slots of one row, as signed 64-bit numbers."""

NS: Final = 1e-9
"""Seconds for one step of a slot that counts nanoseconds."""
SLOT: Final = 8
"""Bytes."""


class Metric(msgspec.Struct, frozen=True):
    """One metric: name, meaning, kind, labels with all their values, and the value of one step of its slots.

    `bounds` are those of a histogram, in its unit. Series of a `sparse` metric are shown only when they are not zero.
    """

    name: str
    text: str
    kind: Kind
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    bounds: tuple[float, ...] = ()
    step: float = 1.0
    sparse: bool = False

    @property
    def width(self) -> int:
        """Slots of one series. A histogram has one for each bucket, one for larger values, and one for the sum."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1

    @property
    def series(self) -> list[tuple[str, ...]]:
        """The label values of each series, in the order of their slots."""
        return list(itertools.product(*(values for _, values in self.labels)))


class Registry:
    """The metrics of one kind of process, and the place of each series in a row."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics: Final = tuple(metrics)
        self.places: Final[dict[tuple[str, ...], int]] = {}
        self.gauges: Final[list[int]] = []
        at = 0
        for metric in metrics:
            for values in metric.series:
                self.places[metric.name, *values] = at
                if metric.kind == "gauge":
                    self.gauges.append(at)
                at += metric.width
        self.slots: Final = at
        self.edges: Final = {m.name: tuple(round(bound / m.step) for bound in m.bounds) for m in metrics}

    def place(self, metric: Metric, *values: str) -> int:
        """The first slot of a series."""
        return self.places[metric.name, *values]


class Row:
    """The counts of one process. PERF: the hot path writes the cells itself."""

    def __init__(self, registry: Registry, cells: Cells) -> None:
        self.registry: Final = registry
        self.cells: Final = cells

    @classmethod
    def private(cls, registry: Registry) -> Row:
        """A row that no exporter reads."""
        return cls(registry, memoryview(bytearray(registry.slots * SLOT)).cast("q"))

    def add(self, metric: Metric, *values: str, by: int = 1) -> None:
        """Add to a counter."""
        self.cells[self.registry.place(metric, *values)] += by

    def put(self, metric: Metric, value: int, *values: str) -> None:
        """Set a gauge."""
        self.cells[self.registry.place(metric, *values)] = value

    def observe(self, metric: Metric, value: int, *values: str) -> None:
        """Count a value, in steps, into its bucket of a histogram."""
        at = self.registry.place(metric, *values)
        edges = self.registry.edges[metric.name]
        self.cells[at + bisect_left(edges, value)] += 1
        self.cells[at + len(edges) + 1] += value

    def forget_gauges(self) -> None:
        """Set all gauges to zero: the process that set them has ended."""
        for at in self.registry.gauges:
            self.cells[at] = 0


class Sheet:
    """Rows in anonymous shared memory, which is freed when the last process that has it open has ended."""

    def __init__(self, registry: Registry, fd: int) -> None:
        self.registry: Final = registry
        self.fd: Final = fd
        size = os.fstat(fd).st_size
        self.rows: Final = size // (registry.slots * SLOT)
        self._cells: Final = memoryview(mmap.mmap(fd, size)).cast("q")
        self._taken: Final[set[int]] = set()

    @classmethod
    def create(cls, registry: Registry, rows: int) -> Sheet:
        """A sheet of zeros. Children get its descriptor `fd` by number."""
        fd = os.memfd_create("leaderboard-metrics")
        os.ftruncate(fd, rows * registry.slots * SLOT)
        return cls(registry, fd)

    def row(self, number: int) -> Row:
        """One row."""
        at = number * self.registry.slots
        return Row(self.registry, self._cells[at : at + self.registry.slots])

    def take(self) -> int | None:
        """Reserve a row that no living process writes; its number, or None if all are in use."""
        free = next((n for n in range(self.rows) if n not in self._taken), None)
        if free is not None:
            self._taken.add(free)
        return free

    def release(self, number: int) -> None:
        """Free the row of a process that has ended. Its counts stay."""
        self.row(number).forget_gauges()
        self._taken.discard(number)

    def totals(self) -> list[int]:
        """Every slot, summed over all rows."""
        return [sum(self._cells[at :: self.registry.slots]) for at in range(self.registry.slots)]

    def totals_of(self, slots: Iterable[int]) -> dict[int, int]:
        """These slots, each summed over all rows."""
        return {at: sum(self._cells[at :: self.registry.slots]) for at in slots}


class Sample(msgspec.Struct, frozen=True):
    """One series: label values and value. A histogram has its buckets (not cumulated), and its sum as value."""

    values: tuple[str, ...]
    value: float
    buckets: tuple[int, ...] = ()


def samples(metric: Metric, registry: Registry, totals: list[int]) -> Iterator[Sample]:
    """The series of a metric that are shown."""
    for values in metric.series:
        at = registry.place(metric, *values)
        cells = totals[at : at + metric.width]
        if metric.sparse and not any(cells):
            continue
        if metric.kind == "histogram":
            yield Sample(values, cells[-1] * metric.step, tuple(cells[:-1]))
        else:
            yield Sample(values, cells[0] * metric.step)
