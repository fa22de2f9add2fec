"""The report of a run: figures over the rounds, and the ratios to the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bench.report.original import name_other_servers, ratio, read_scale, write_scale
from bench.rows.catalog import PEER, Row
from bench.rows.figures import Measure, Spread, summarize_measures, summarize_rounds
from bench.system.machine import Commit, Machine


class RowResult(msgspec.Struct, frozen=True):
    """The result of one row.

    `scaled` is the figure of the original, scaled to this machine (unscaled when `scale` is "none"), and `ratio` how
    many times better ours is, round by round; both are None for a row without a figure of the original. `peer` has the
    figures of the original's own program in the same run, `measured_ratio` the ratio to them; None without it.
    `curves` and `hdr` are those of the last round. `valid` is false when a load generator lagged in a round.
    """

    name: str
    text: str
    unit: str
    main: str
    figures: dict[str, Spread]
    original: float | None
    scale: str
    scaled: Spread | None
    ratio: Spread | None
    correct: bool
    checks: list[str]
    faults: list[str]
    notes: list[str]
    curves: Mapping[str, Sequence[tuple[float, float | None]]]
    hdr: dict[str, str]
    valid: bool
    peer: dict[str, Spread] | None = None
    measured_ratio: Spread | None = None


class Report(msgspec.Struct, frozen=True):
    """The report of a run. `complete` is false when the run was interrupted. `steal_percent` is the share of processor
    time that the host gave to other guests."""

    date: str
    command: str
    commit: Commit
    machine: Machine
    versions: dict[str, str]
    settings: dict[str, str]
    options: dict[str, str | int]
    steal_percent: float
    complete: bool
    correct: bool
    notes: list[str]
    rows: list[RowResult]


def build_rows(rows: Sequence[Row], measured: Mapping[str, Sequence[Measure]]) -> list[RowResult]:
    """The results of all rows that were measured at least once."""
    return [build_row(row, measured) for row in rows if measured.get(row.name)]


def build_row(row: Row, measured: Mapping[str, Sequence[Measure]]) -> RowResult:
    """The result of one row. `measured` has the rounds of every row by its name."""
    mine, theirs = measured[row.name], measured.get(PEER + row.name, ())
    scaled, better = compare_with_original(row, measured)
    faults = [
        f"round {turn}{side}: {text}"
        for side, measures in (("", mine), (", original", theirs))
        for turn, measure in enumerate(measures, 1)
        for text in measure.faults
    ]
    invalid = [f"INVALID, round {turn}: {m.invalid}" for turn, m in enumerate(mine, 1) if m.invalid]
    return RowResult(
        name=row.name,
        text=row.text,
        unit=row.unit,
        main=row.main,
        figures=summarize_measures(mine),
        original=row.original,
        scale=row.scale,
        scaled=scaled,
        ratio=better,
        peer=summarize_measures(theirs) if theirs else None,
        measured_ratio=compare_with_peer(row, mine, theirs),
        correct=not faults,
        checks=[] if faults else list(mine[-1].checks),
        faults=faults,
        notes=list(dict.fromkeys([*(text for measure in mine for text in measure.notes), *invalid])),
        curves=mine[-1].curves,
        hdr=mine[-1].hdr,
        valid=not invalid,
    )


def compare_with_peer(row: Row, mine: Sequence[Measure], theirs: Sequence[Measure]) -> Spread | None:
    """How many times better ours is than the original's own program, round by round; None without it."""
    ratios = [
        ratio(a.figures[row.main], b.figures[row.main], lower_is_better=row.unit == "ms")
        for a, b in zip(mine, theirs, strict=False)
    ]
    return summarize_rounds(ratios) if ratios else None


def compare_with_original(row: Row, measured: Mapping[str, Sequence[Measure]]) -> tuple[Spread | None, Spread | None]:
    """The figure of the original, scaled by the calibration of each round, and the ratios of the rounds."""
    theirs, ratios = [], []
    for number, measure in enumerate(measured[row.name]):
        calibration = {
            name: found[number].figures["per_s"]
            for name, found in measured.items()
            if number < len(found) and "per_s" in found[number].figures
        }
        factor: float | None = 1.0
        if row.scale != "none":
            factor = write_scale(calibration) if row.scale == "writes" else read_scale(calibration)
        if row.original is None or factor is None:
            return None, None
        theirs.append(row.original * factor)
        ratios.append(ratio(measure.figures[row.main], theirs[-1], lower_is_better=row.unit == "ms"))
    return summarize_rounds(theirs), summarize_rounds(ratios)


def make_notes(
    machine: Machine, ram_disks: Sequence[str], rows: Sequence[Row], versions: Mapping[str, str]
) -> list[str]:
    """Notes on circumstances that affect the figures."""
    notes = []
    if machine.file_system in ram_disks:
        notes.append(f"the data lay on {machine.file_system}, where fsync costs nothing; choose another --data-dir")
    if versions.get("kernels") == "python":
        notes.append("the pure-Python kernels ran, not the compiled ones")
    if (servers := name_other_servers(versions)) and any(row.original is not None for row in rows):
        notes.append(
            f"the original was measured on PostgreSQL 15 and Redis 7.0, not {servers}: ratios compare these, too"
        )
    if versions.get("nginx") == "none" and any(row.scale == "reads" for row in rows):
        notes.append("nginx is not installed: reads are scaled by the two rows of Redis alone")
    if any(row.scale == "none" and row.original is not None for row in rows):
        notes.append("* the time to visible of the original is not scaled: the tick of its worker, 50 ms, decides it")
    return notes
