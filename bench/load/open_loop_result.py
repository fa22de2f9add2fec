"""What an open-loop run gave: latencies from when each request was due, and whether the generator kept its schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram

HIGHEST_US: Final = 60_000_000
DIGITS: Final = 3
POINTS: Final = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0)
LAG_FLOOR_MS: Final = 2.0
"""Two turns of the generator's clock: less than this is how it works, not that it fell behind."""
LAG_SHARE: Final = 0.2
OFFERED_LEAST: Final = 0.98


class Latency(msgspec.Struct, frozen=True):
    """Percentiles in ms of so many requests. `curve` has pairs (percentile, ms); `hdr` is the whole histogram in
    microseconds, in the compressed form every HdrHistogram tool reads."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    curve: list[tuple[float, float]]
    hdr: str


class Paced(msgspec.Struct, frozen=True):
    """Requests offered a second, and what became of all of them.

    `lag` is the generator's own: from when a request was due until the generator came to it. Waiting for a free
    connection is the server's doing and not part of it, though part of the latency.
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
        """Requests without a good answer."""
        return self.refused + self.broken

    def invalid(self) -> str:
        """Why the figures are the generator's and not the server's; empty when they are the server's."""
        if self.offered_per_s < OFFERED_LEAST * self.rate:
            return f"only {self.offered_per_s:,.0f} of {self.rate:,.0f} requests/s were offered"
        if self.lag_p99_ms > max(LAG_FLOOR_MS, LAG_SHARE * self.all.p99_ms):
            return (
                f"the generator lagged by {self.lag_p99_ms:.1f} ms (p99) behind latencies of {self.all.p99_ms:.1f} ms"
            )
        return ""


def latency(values_us: Iterable[int]) -> Latency:
    """Percentiles of values in microseconds; zeros where there are none."""
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


def knee(curve: Iterable[tuple[float, float]], factor: float = 5.0) -> float | None:
    """The highest rate up to which p99 stays within `factor` times that of the lowest one.

    `curve` has pairs (requests offered a second, p99 in ms) of valid runs, by rising rate. None when it is empty.
    """
    best: float | None = None
    base: float | None = None
    for rate, p99 in curve:
        base = p99 if base is None else base
        if p99 > factor * base:
            break
        best = rate
    return best
