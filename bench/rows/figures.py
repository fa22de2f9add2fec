"""Figures of a row: of one round, and over all rounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

import msgspec


class Measure(msgspec.Struct, frozen=True):
    """The result of one round of one row.

    `figures` have their unit in the name (``per_s``, ``p99_ms``, ``errors``). `checks` are promises that were kept,
    `faults` promises that were broken; one fault makes the whole run fail. `notes` are for the reader. `curves` are
    points to plot (y is None for a step that was left out as invalid), `hdr` whole histograms. `invalid` is the reason
    why the figures show the load generator and not the server; empty for a valid round.
    """

    figures: dict[str, float]
    checks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    curves: Mapping[str, Sequence[tuple[float, float | None]]] = {}
    hdr: dict[str, str] = {}
    invalid: str = ""


Results = Iterator[tuple[str, Measure]]
"""Names of rows and their results, in the order of measurement."""


class Spread(msgspec.Struct, frozen=True):
    """A figure over the rounds, in the unit of its name."""

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]


def summarize_rounds(values: Sequence[float]) -> Spread:
    """Median, lowest and highest of at least one value."""
    return Spread(statistics.median(values), min(values), max(values), tuple(values))


def summarize_measures(measures: Sequence[Measure]) -> dict[str, Spread]:
    """Every figure of a row over its rounds. A round may lack a figure that others have."""
    names = dict.fromkeys(name for measure in measures for name in measure.figures)
    return {name: summarize_rounds([m.figures[name] for m in measures if name in m.figures]) for name in names}


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of at least one value; 0 < percent <= 100."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
