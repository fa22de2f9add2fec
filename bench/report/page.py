"""The figures of a JSON report as Markdown: ``python -m bench page REPORT [--write PAGE]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.report.report import Report, RowResult
from bench.report.text import PERCENTILES, describe_others, format_median, format_number

NAME: Final = "figures"
"""Of the block of a page that is replaced, unless told otherwise."""
FIRST: Final = ("postgresql", "redis", "valkey", "Python", "kernels", "wrk")
"""Versions worth a place in the text; the JSON has all."""


def render(report: Report) -> str:
    """Where, when and how it was measured, the table, and the notes."""
    m, o = report.machine, report.options
    versions = ", ".join(f"{name} {report.versions[name]}" for name in FIRST if name in report.versions)
    commit = report.commit.commit[:12] + (" with changes" if report.commit.dirty else "")
    lines = [
        f"{report.date[:10]}, commit {commit}: `{report.command}`",
        "",
        f"{m.cpu}, {m.cores} cores, {m.memory_gib} GiB, kernel {m.kernel}, {m.file_system}; load {m.load} at the "
        f"start, {report.steal_percent:.1f} % stolen. {versions}. {o['workers']} API workers, {o['relays']} relays, "
        f"{o['connections']} connections, {o['seconds']} s a load, median of {o['rounds']} rounds (lowest - highest).",
        "",
        "| row | | p50 / p90 / p99 ms | original, scaled | ratio | besides |",
        "|---|---|---|---|---|---|",
        *(render_row(row) for row in report.rows),
        "",
        *("- " + note.replace("*", "\\*") for note in report.notes),
    ]
    if not report.correct or not report.complete:
        lines.append("- **not a valid run**: " + ("it was cut short" if report.correct else "a check failed"))
    return "\n".join(lines).rstrip() + "\n"


def render_row(row: RowResult) -> str:
    """One line of the table."""
    main = row.figures[row.main]
    times = (
        " / ".join(format_median(row.figures.get(name)) for name in PERCENTILES)
        if row.figures.keys() & set(PERCENTILES)
        else ""
    )
    star = "\\*" if row.scaled is not None and row.scale == "none" else ""
    original = "" if row.scaled is None else format_number(row.scaled.median) + star
    better = "" if row.ratio is None else f"**{row.ratio.median:.2f}** ({row.ratio.low:.2f} - {row.ratio.high:.2f})"
    ours = f"**{format_number(main.median)} {row.unit}** ({format_number(main.low)} - {format_number(main.high)})"
    wrong = ("" if row.correct else " **WRONG**") + ("" if row.valid else " **INVALID**")
    return f"| `{row.name}`{wrong} | {ours} | {times} | {original} | {better} | {describe_others(row)} |"


def replace_block(page: str, text: str, name: str = NAME) -> str:
    """The page with that text between the two marks of that name. Raises `ValueError` without the marks."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no {begin} and {end}")
    return f"{before}{begin}\n{text}{end}{after}"


def write_block(page: Path, text: str, name: str = NAME) -> None:
    """Replace that block of a file. Raises `ValueError` without the marks."""
    page.write_text(replace_block(page.read_text(encoding="utf-8"), text, name), encoding="utf-8")


def main(argv: Sequence[str]) -> int:
    """The program; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench page", description="Write a report's figures as Markdown.")
    parser.add_argument("report", type=Path, help="what `python -m bench --json` wrote")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the figures of this page, not print them")
    parser.add_argument("--block", default=NAME, metavar="NAME", help="the block that is replaced (%(default)s)")
    options = parser.parse_args(argv)
    try:
        text = render(msgspec.json.decode(options.report.read_bytes(), type=Report))
        if options.write is None:
            sys.stdout.write(text)
        else:
            write_block(options.write, text, options.block)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        print(f"bench page: {error}", file=sys.stderr)
        return 2
    return 0
