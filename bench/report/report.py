"""The report: figures over the rounds beside the original's, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.rows.catalog import Row
from bench.rows.figures import Measure, Spread, ratio, read_scale, spread, spreads, write_scale
from bench.system.machine import Commit, Machine

QUIET_LOAD: Final = 0.5
"""A one-minute load average above this at the start means that somebody else was at work."""
SHOWN: Final = ("p50_ms", "p90_ms", "p99_ms")


class Line(msgspec.Struct, frozen=True):
    """One row of the report.

    `scaled` is the original's figure as it would be on this machine (unscaled where the row has no scale) and `ratio`
    how many times better ours is, paired round by round; both None where the original has no figure. `curves` and `hdr`
    are those of the last round. `valid` is false when a generator lagged in any round: the figures are then its own.
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
    curves: dict[str, list[tuple[float, float]]]
    hdr: dict[str, str]
    valid: bool


class Report(msgspec.Struct, frozen=True):
    """Everything about a run. `complete` is false when it was cut short."""

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
    rows: list[Line]


def lines(rows: Sequence[Row], measured: Mapping[str, Sequence[Measure]]) -> list[Line]:
    """The rows that were measured at least once."""
    return [line(row, measured) for row in rows if measured.get(row.name)]


def line(row: Row, measured: Mapping[str, Sequence[Measure]]) -> Line:
    """One of them."""
    mine = measured[row.name]
    scaled, better = comparison(row, measured)
    faults = [f"round {turn}: {text}" for turn, measure in enumerate(mine, 1) for text in measure.faults]
    invalid = [f"INVALID, round {turn}: {m.invalid}" for turn, m in enumerate(mine, 1) if m.invalid]
    return Line(
        name=row.name,
        text=row.text,
        unit=row.unit,
        main=row.main,
        figures=spreads(mine),
        original=row.original,
        scale=row.scale,
        scaled=scaled,
        ratio=better,
        correct=not faults,
        checks=[] if faults else list(mine[-1].checks),
        faults=faults,
        notes=list(dict.fromkeys([*(text for measure in mine for text in measure.notes), *invalid])),
        curves=mine[-1].curves,
        hdr=mine[-1].hdr,
        valid=not invalid,
    )


def comparison(row: Row, measured: Mapping[str, Sequence[Measure]]) -> tuple[Spread | None, Spread | None]:
    """The original's figure scaled by each round's own calibration, and the ratios of those rounds."""
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
    return spread(theirs), spread(ratios)


def show(report: Report, console: Console) -> None:
    """For people."""
    m = report.machine
    load = f"load {m.load} at the start, {report.steal_percent:.1f} % stolen"
    line = f"{m.cpu}, {m.cores} cores, {m.memory_gib} GiB, kernel {m.kernel}, {m.file_system}; {load}"
    console.print(Text(line))
    for pairs in (report.versions, report.options):
        console.print(Text(", ".join(f"{name} {value}" for name, value in pairs.items()), style="dim"))
    console.print(table(report))
    for row in report.rows:
        if text := besides(row):
            console.print(Text(f"{row.name:<13} {text}", style="dim"))
        for text in row.notes:
            console.print(Text(f"{row.name:<13} note: {text}"))
        for text in row.faults:
            console.print(Text(f"{row.name:<13} WRONG: {text}", style="bold red"))
    for text in report.notes:
        console.print(Text(f"note: {text}", style="yellow"))
    if not report.complete:
        console.print(Text("the run was cut short", style="bold yellow"))
    verdict = "every check was passed" if report.correct else "CHECKS FAILED: the figures mean nothing"
    console.print(Text(verdict, style="green" if report.correct else "bold red"))


def table(report: Report) -> Table:
    """One line a row."""
    made = Table(header_style="bold", box=SIMPLE_HEAD)
    made.add_column("row", no_wrap=True)
    for name in ("median", "low - high", "p50/p90/p99 ms", "original", "ratio", "low - high"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("correct")
    for row in report.rows:
        main = row.figures[row.main]
        times = " / ".join(cell(row.figures.get(name)) for name in SHOWN)
        made.add_row(
            row.name,
            f"{number(main.median)} {row.unit}",
            f"{number(main.low)} - {number(main.high)}",
            times if any(name in row.figures for name in SHOWN) else "-",
            cell(row.scaled) + ("*" if row.scaled is not None and row.scale == "none" else ""),
            "-" if row.ratio is None else f"{row.ratio.median:.2f}",
            "-" if row.ratio is None else f"{row.ratio.low:.2f} - {row.ratio.high:.2f}",
            verdict(row),
        )
    return made


def verdict(row: Line) -> Text:
    """Whether the figures can be believed."""
    if not row.correct:
        return Text("NO", style="bold red")
    return Text("yes", style="green") if row.valid else Text("INVALID", style="bold yellow")


def besides(row: Line) -> str:
    """Figures of a few rows only."""
    texts = {
        "errors": "{} errors",
        "backlog": "backlog {} hints",
        "empty_ms": "empty after {} ms",
        "seconds": "took {} s",
        "post_p50_ms": "POST p50 {} ms",
        "offered_per_s": "offered {}/s",
        "peak_per_s": "closed loop {}/s",
        "read_p99_ms": "reads p99 {} ms",
        "write_p99_ms": "writes p99 {} ms",
        "lag_p99_ms": "generator's lag p99 {} ms",
        "worker_us": "workers {} µs",
        "postgres_us": "PostgreSQL {} µs",
        "redis_us": "Redis {} µs",
        "relay_us": "relays {} µs",
        "generator_us": "generator {} µs",
        "wal_bytes": "write-ahead log {} bytes",
        "key_bytes": "idempotency key {} bytes",
        "player_bytes": "player's row and index {} bytes",
        "small_per_s": "small board {}/s",
    }
    return ", ".join(text.format(cell(row.figures[name])) for name, text in texts.items() if name in row.figures)


def cell(figure: Spread | None) -> str:
    """A median."""
    return "-" if figure is None else number(figure.median)


def number(value: float) -> str:
    """Three significant places or more: 12,345 or 12.3 or 0.123."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def remarks(machine: Machine, ram_disks: Sequence[str], rows: Sequence[Row], versions: Mapping[str, str]) -> list[str]:
    """What the reader has to know before believing a figure."""
    notes = []
    if machine.load > QUIET_LOAD:
        notes.append(f"the machine was not idle at the start (load {machine.load}): take no figure at its face value")
    if machine.file_system in ram_disks:
        notes.append(f"the data lay on {machine.file_system}, where fsync costs nothing; choose another --data-dir")
    if versions.get("kernels") == "python":
        notes.append("the pure-Python kernels ran, not the compiled ones")
    if (servers := versions_of_original(versions)) and any(row.original is not None for row in rows):
        notes.append(
            f"the original was measured on PostgreSQL 15 and Redis 7.0, not {servers}: ratios compare these, too"
        )
    if versions.get("nginx") == "none" and any(row.scale == "reads" for row in rows):
        notes.append("nginx is not installed: reads are scaled by the two Redis lines alone")
    if any(row.scale == "none" and row.original is not None for row in rows):
        notes.append("* the original's time to visible is not scaled: its worker's tick of 50 ms decides it")
    return notes


def versions_of_original(versions: Mapping[str, str]) -> str:
    """The servers that are not of the versions the original ran on, empty when both are."""
    same = {"postgresql": "15.", "redis": "7.0."}
    names = ("postgresql", "redis", "valkey")
    return ", ".join(
        f"{name} {versions[name]}"
        for name in names
        if name in versions and not (name in same and versions[name].startswith(same[name]))
    )
