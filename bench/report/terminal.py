"""A report as a table on the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.report.circumstances import describe_load, describe_machine
from bench.report.report import Report, RowResult
from bench.report.text import PERCENTILES, describe_others, format_median, format_number
from bench.rows.figures import Spread


def print_report(report: Report, console: Console) -> None:
    """Print circumstances, table, faults and notes."""
    m = report.machine
    console.print(Text(f"{describe_machine(m)}; {report.steal_percent:.1f} % stolen by the host"))
    console.print(Text(f"load average at the start: {describe_load(m)}", style="" if m.idle else "yellow"))
    for pairs in (report.versions, report.options):
        console.print(Text(", ".join(f"{name} {value}" for name, value in pairs.items()), style="dim"))
    console.print(make_table(report))
    for row in report.rows:
        if text := describe_others(row):
            console.print(Text(f"{row.name:<13} {text}", style="dim"))
        for text in row.notes:
            console.print(Text(f"{row.name:<13} note: {text}"))
        for text in row.faults:
            console.print(Text(f"{row.name:<13} WRONG: {text}", style="bold red"))
    for text in report.notes:
        console.print(Text(f"note: {text}", style="yellow"))
    if not report.complete:
        console.print(Text("the run was interrupted", style="bold yellow"))
    verdict = "every check was passed" if report.correct else "CHECKS FAILED: the figures mean nothing"
    console.print(Text(verdict, style="green" if report.correct else "bold red"))


def make_table(report: Report) -> Table:
    """The table, one line for each row."""
    made = Table(header_style="bold", box=SIMPLE_HEAD)
    made.add_column("row", no_wrap=True)
    beside = any(row.peer for row in report.rows)
    compared = ("original beside", "ratio", "low - high", "scaled") if beside else ("original", "ratio", "low - high")
    for name in ("median", "low - high", "p50/p90/p99 ms", *compared):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("correct")
    for row in report.rows:
        main = row.figures[row.main]
        times = " / ".join(format_median(row.figures.get(name)) for name in PERCENTILES)
        made.add_row(
            row.name,
            f"{format_number(main.median)} {row.unit}",
            f"{format_number(main.low)} - {format_number(main.high)}",
            times if any(name in row.figures for name in PERCENTILES) else "-",
            *(describe_peer(row) if beside else describe_scaled(row)),
            make_verdict(row),
        )
    return made


def describe_scaled(row: RowResult) -> tuple[str, str, str]:
    """The figure of the original, scaled, and the ratio to it with its spread."""
    star = "*" if row.scaled is not None and row.scale == "none" else ""
    return format_median(row.scaled) + star, *describe_ratio(row.ratio)


def describe_peer(row: RowResult) -> tuple[str, str, str, str]:
    """The figure of the original's own program, the ratio to it with its spread, and the scaled ratio."""
    theirs = "-" if row.peer is None else f"{format_median(row.peer[row.main])} {row.unit}"
    return theirs, *describe_ratio(row.measured_ratio), format_median(row.ratio)


def describe_ratio(ratio: Spread | None) -> tuple[str, str]:
    """A ratio and its spread."""
    return ("-", "-") if ratio is None else (f"{ratio.median:.2f}", f"{ratio.low:.2f} - {ratio.high:.2f}")


def make_verdict(row: RowResult) -> Text:
    """Whether the figures of a row are correct and valid."""
    if not row.correct:
        return Text("NO", style="bold red")
    return Text("yes", style="green") if row.valid else Text("INVALID", style="bold yellow")
