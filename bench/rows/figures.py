"""Figures of rounds: percentiles, medians, and the original's figures scaled to this machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

PGBENCH: Final = 11_000.0
"""Transactions a second where the original was measured: two inserts, 50 clients."""
READ_LINES: Final = {"zrevrank": 160_000.0, "zrevrange": 47_000.0, "nginx": 175_000.0}
"""Answers a second of the servers below the reads, on that same machine."""


class Measure(msgspec.Struct, frozen=True):
    """What one round of one row gave.

    `figures` have their unit in the name (``per_s``, ``p99_ms``, ``errors``). `checks` are promises that were found
    kept, `faults` those that were not: a single one makes the whole run fail. `notes` are for the reader. `curves` are
    points to plot, `hdr` whole histograms. `invalid` says why the figures are not the server's: its generator lagged.
    """

    figures: dict[str, float]
    checks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    curves: dict[str, list[tuple[float, float]]] = {}
    hdr: dict[str, str] = {}
    invalid: str = ""


class Spread(msgspec.Struct, frozen=True):
    """A figure over the rounds."""

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest of at least one value."""
    return Spread(statistics.median(values), min(values), max(values), tuple(values))


def spreads(measures: Sequence[Measure]) -> dict[str, Spread]:
    """Every figure of a row over its rounds; a figure that a round lacks is taken from the others."""
    names = dict.fromkeys(name for measure in measures for name in measure.figures)
    return {name: spread([m.figures[name] for m in measures if name in m.figures]) for name in names}


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of at least one value, 0 < percent <= 100."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def write_scale(lines: Mapping[str, float]) -> float | None:
    """How fast this machine is beside the one of the original, for writes; None without the pgbench line."""
    return lines["pgbench"] / PGBENCH if "pgbench" in lines else None


def read_scale(lines: Mapping[str, float]) -> float | None:
    """The same for reads: the geometric mean of the lines there are, None unless both of Redis are there."""
    if "zrevrank" not in lines or "zrevrange" not in lines:
        return None
    return statistics.geometric_mean(lines[name] / base for name, base in READ_LINES.items() if name in lines)


def ratio(ours: float, theirs: float, *, lower_is_better: bool = False) -> float:
    """How many times better ours is; above 1 is better for us whichever way the figure counts."""
    return theirs / ours if lower_is_better else ours / theirs
