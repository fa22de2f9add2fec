"""A JSON report as a block of a Markdown page: ``python -m bench page REPORT [--write PAGE]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.report import anatomy
from bench.report.anatomy import AnatomyReport
from bench.report.circumstances import render_circumstances
from bench.report.report import Report, RowResult
from bench.report.text import PERCENTILES, describe_others, format_median, format_number
from bench.rows.figures import Spread

BLOCK: Final = "figures"
"""Name of the block that is replaced by default."""
VERSIONS: Final = ("postgresql", "redis", "valkey", "Python", "kernels", "wrk")
"""Versions that the page shows; the report has all."""


def render(report: Report, source: Path | None = None) -> str:
    """Circumstances, table and notes as Markdown. `source` is the file of the report."""
    o = report.options
    others = {
        "stolen by the host": f"{report.steal_percent:.1f} %",
        "versions": ", ".join(f"{name} {report.versions[name]}" for name in VERSIONS if name in report.versions),
        "system": f"{o['workers']} API workers, {o['relays']} relays, {o['connections']} connections",
        "figures": f"loads of {o['seconds']} s; median of {o['rounds']} rounds (lowest - highest)",
    }
    compared = any(row.scaled is not None for row in report.rows)
    beside = any(row.peer is not None for row in report.rows)
    names = [
        "row",
        "figure",
        "p50 / p90 / p99 ms",
        *(["original, beside", "ratio"] if beside else []),
        *(["original, scaled", "ratio"] if compared else []),
        "other figures",
    ]
    lines = [
        *render_circumstances(report.date, report.command, report.commit, report.machine, source, others),
        "",
        f"| {' | '.join(names)} |",
        "|---" * len(names) + "|",
        *(render_row(row, compared, beside) for row in report.rows),
        "",
        *("- " + note.replace("*", "\\*") for note in report.notes),
    ]
    if not report.correct or not report.complete:
        lines.append("- **not a valid run**: " + ("it was interrupted" if report.correct else "a check failed"))
    return "\n".join(lines).rstrip() + "\n"


def render_row(row: RowResult, compared: bool, beside: bool) -> str:
    """One line of the table. `compared`: it has columns for the original, scaled; `beside`: for its own program."""
    main = row.figures[row.main]
    has_percentiles = row.figures.keys() & set(PERCENTILES)
    star = "\\*" if row.scaled is not None and row.scale == "none" else ""
    wrong = ("" if row.correct else " **WRONG**") + ("" if row.valid else " **INVALID**")
    cells = [
        f"`{row.name}`{wrong}",
        f"**{format_number(main.median)} {row.unit}".rstrip()
        + f"** ({format_number(main.low)} - {format_number(main.high)})",
        " / ".join(format_median(row.figures.get(name)) for name in PERCENTILES) if has_percentiles else "",
    ]
    if beside:
        cells += [
            "" if row.peer is None else format_number(row.peer[row.main].median),
            render_ratio(row.measured_ratio),
        ]
    if compared:
        cells += ["" if row.scaled is None else format_number(row.scaled.median) + star, render_ratio(row.ratio)]
    return f"| {' | '.join([*cells, describe_others(row)])} |"


def render_ratio(ratio: Spread | None) -> str:
    """A ratio with its spread; empty without one."""
    return "" if ratio is None else f"**{ratio.median:.2f}** ({ratio.low:.2f} - {ratio.high:.2f})"


def replace_block(page: str, text: str, name: str = BLOCK) -> str:
    """The page with `text` between the marks of that name. Raises `ValueError` when the page has no such marks."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no {begin} and {end}")
    return f"{before}{begin}\n{text}{end}{after}"


def write_block(page: Path, text: str, name: str = BLOCK) -> None:
    """Replace a block of a file. Raises `ValueError` when the page has no such marks."""
    page.write_text(replace_block(page.read_text(encoding="utf-8"), text, name), encoding="utf-8")


def read_report(file: Path) -> Report | AnatomyReport:
    """Decode a report of either kind. Raises `OSError` and `msgspec.DecodeError`."""
    content = file.read_bytes()
    if "anatomy" in msgspec.json.decode(content, type=dict[str, msgspec.Raw]):
        return msgspec.json.decode(content, type=AnatomyReport)
    return msgspec.json.decode(content, type=Report)


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench page", description="Write a report's figures as Markdown.")
    parser.add_argument("report", type=Path, help="a report that a command wrote with --json")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace a block of this page instead of printing")
    parser.add_argument("--block", metavar="NAME", help=f"name of the block ({BLOCK}, anatomy-REQUEST)")
    options = parser.parse_args(argv)
    try:
        report = read_report(options.report)
        if isinstance(report, AnatomyReport):
            text, block = anatomy.render(report, options.report), report.block
        else:
            text, block = render(report, options.report), BLOCK
        if options.write is None:
            sys.stdout.write(text)
        else:
            write_block(options.write, text, options.block or block)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        print(f"bench page: {error}", file=sys.stderr)
        return 2
    return 0
