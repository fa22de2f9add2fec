"""Figures of a row: of one round, and over all rounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

import msgspec


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


Results = Iterator[tuple[str, Measure]]
"""Rows in the order they are measured: name, what came out."""


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
