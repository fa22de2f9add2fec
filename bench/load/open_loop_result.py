"""The result of an open-loop load: latencies since each request was due, and whether the schedule was kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram

HIGHEST_US: Final = 60_000_000
DIGITS: Final = 3
POINTS: Final = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0)
LAG_FLOOR_MS: Final = 2.0
"""Two ticks of the generator: a smaller lag is normal."""
LAG_SHARE: Final = 0.2
"""Largest lag (p99) of a valid run, as a share of the p99 that it reports."""
OFFERED_LEAST: Final = 0.98
"""Smallest share of the rate that a valid run offers."""


class Latency(msgspec.Struct, frozen=True):
    """Percentiles in ms of `count` requests.

    `curve` has pairs (percentile, ms). `hdr` is the whole histogram in microseconds, in the compressed form of
    HdrHistogram (https://hdrhistogram.org).
    """

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    curve: list[tuple[float, float]]
    hdr: str


class OpenLoopResult(msgspec.Struct, frozen=True):
    """Requests offered per second, and the number of each outcome.

    The lag is the time from when a request was due until the generator took it up. The wait for a free connection is
    not part of the lag, but part of the latency, since the server causes it.
    """

    rate: float
    offered_per_s: float
    answered_per_s: float
    offered: int
    accepted: int
    written: int
    refused: int
    broken: int
    all: Latency
    reads: Latency
    writes: Latency
    lag_p99_ms: float
    lag_max_ms: float

    @property
    def errors(self) -> int:
        """Requests that were refused or got no answer."""
        return self.refused + self.broken

    def figures(self) -> dict[str, float]:
        """The figures of all open-loop rows."""
        figures = {
            "p50_ms": self.all.p50_ms,
            "p90_ms": self.all.p90_ms,
            "p99_ms": self.all.p99_ms,
            "p999_ms": self.all.p999_ms,
            "max_ms": self.all.max_ms,
            "offered_per_s": self.offered_per_s,
            "lag_p99_ms": self.lag_p99_ms,
            "errors": float(self.errors),
        }
        return figures | ({"write_p99_ms": self.writes.p99_ms} if self.writes.count else {})

    def invalid(self) -> str:
        """Why the figures show the generator and not the server; empty for a valid run."""
        if self.offered_per_s < OFFERED_LEAST * self.rate:
            return f"only {self.offered_per_s:,.0f} of {self.rate:,.0f} requests/s were offered"
        if self.lag_p99_ms > max(LAG_FLOOR_MS, LAG_SHARE * self.all.p99_ms):
            return (
                f"the generator lagged by {self.lag_p99_ms:.1f} ms (p99) behind latencies of {self.all.p99_ms:.1f} ms"
            )
        return ""


def summarize_latency(values_us: Iterable[int]) -> Latency:
    """Percentiles of latencies in microseconds; zeros when there are none."""
    held: Any = HdrHistogram(1, HIGHEST_US, DIGITS)
    for value in values_us:
        held.record_value(min(max(1, value), HIGHEST_US))
    if not held.total_count:
        return Latency(0, 0.0, 0.0, 0.0, 0.0, 0.0, [], "")

    def at(percent: float) -> float:
        return float(held.get_value_at_percentile(percent)) / 1000

    curve = [(percent, at(percent)) for percent in POINTS]
    text: bytes = held.encode()
    return Latency(
        held.total_count, at(50), at(90), at(99), at(99.9), held.get_max_value() / 1000, curve, text.decode()
    )


def find_knee(curve: Iterable[tuple[float, float]], factor: float = 5.0) -> float | None:
    """The highest rate up to which p99 stays within `factor` times the p99 of the lowest rate.

    `curve` has pairs (requests offered per second, p99 in ms) of valid runs, by rising rate. None when it is empty.
    """
    best: float | None = None
    base: float | None = None
    for rate, p99 in curve:
        base = p99 if base is None else base
        if p99 > factor * base:
            break
        best = rate
    return best
