"""A JSON report as one self-contained page, and its plots as SVG files: ``python -m bench html REPORT``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

import msgspec

from bench.report import original
from bench.report.circumstances import describe_commit, describe_load, describe_machine
from bench.report.report import Report, RowResult
from bench.report.svg import draw_bars, draw_lines, draw_percentiles
from bench.report.text import describe_others, format_median, format_number

UNITS: Final = (
    ("/s", "rates", "Rates"),
    ("ms", "times", "Times"),
    ("us", "processor-time", "Processor time"),
    ("x", "of-small", "Rate relative to the small board"),
)
"""Unit, file name and title of the bar plots."""
STYLE: Final = """\
body{font:15px/1.5 sans-serif;color:#222;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;font-size:13px}
td,th{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child,td:last-child,th:last-child{text-align:left}.bad{color:#b00020;font-weight:bold}
svg{max-width:100%;height:auto}code{font-size:13px}
"""


def draw_plots(report: Report) -> dict[str, str]:
    """Every plot as SVG, by its file name without suffix."""
    made = {}
    compared = [row for row in report.rows if row.ratio is not None]
    if compared:
        rows = [(r.name, r.ratio.median, r.ratio.low, r.ratio.high) for r in compared if r.ratio is not None]
        made["ratio"] = draw_bars(f"Ratio to {original.NAME}, scaled to this machine (1 is equal)", "x", rows, mark=1.0)
    for unit, name, title in UNITS:
        spreads = [(r.name, r.figures[r.main]) for r in report.rows if r.unit == unit]
        if spreads:
            made[name] = draw_bars(
                f"{title}: median, lowest - highest", unit, [(n, s.median, s.low, s.high) for n, s in spreads]
            )
    for row in report.rows:
        for title, points in row.curves.items():
            name = re.sub(r"[^a-z0-9]+", "-", f"{row.name} {title}".lower()).strip("-")
            if row.name == "curve":
                made[name] = draw_lines(title, "requests offered per second", "ms", points)
            else:
                made[name] = draw_percentiles(f"{row.name}: {title}", points)
    return made


def render(report: Report) -> str:
    """The page."""
    m = report.machine
    sound = report.correct and report.complete and all(row.valid for row in report.rows)
    verdict = "every check was passed" if sound else "not a valid run: see the rows and notes"
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Leaderboard benchmark</title>\n'
        f"<style>{STYLE}</style></head><body>\n<h1>Leaderboard benchmark</h1>\n"
        f"<p>{escape(report.date)}, commit {describe_commit(report.commit)}: "
        f"<code>{escape(report.command)}</code></p>\n"
        f"<p>{escape(describe_machine(m))}; {report.steal_percent:.1f} % stolen by the host. "
        f"Load average at the start: {describe_load(m)}.</p>\n"
        f"<p>The original is {original.NAME} ({original.PLACE}, commit {original.COMMIT}). "
        "Its figures come from another machine; they are scaled to this one, so they are estimates.</p>\n"
        f'<p class="{"good" if sound else "bad"}">{verdict}</p>\n<ul>{notes}</ul>\n{render_table(report.rows)}\n'
        + "\n".join(draw_plots(report).values())
        + "".join(render_details(title, found) for title, found in list_details(report))
        + "</body></html>\n"
    )


def list_details(report: Report) -> list[tuple[str, Mapping[str, object]]]:
    """Options, versions and settings, each with a title."""
    return [("Options", report.options), ("Versions", report.versions), ("Settings", report.settings)]


def render_table(rows: Sequence[RowResult]) -> str:
    """The table of all rows."""
    names = ("row", "median", "low - high", "p50 ms", "p90 ms", "p99 ms", "original, scaled", "ratio", "other figures")
    head = f"<tr>{''.join(f'<th>{name}' for name in names)}</tr>"
    return f"<table>{head}\n" + "\n".join(render_row(row) for row in rows) + "</table>"


def render_row(row: RowResult) -> str:
    """A row of the table, with its faults."""
    main = row.figures[row.main]
    times = "".join(f"<td>{format_median(row.figures.get(name))}" for name in ("p50_ms", "p90_ms", "p99_ms"))
    bad = [*row.faults, *(note for note in row.notes if note.startswith("INVALID"))]
    wrong = "".join(f'<br><span class="bad">{escape(text)}</span>' for text in bad)
    ratio = "-" if row.ratio is None else f"{row.ratio.median:.2f}"
    return (
        f"<tr><td>{escape(row.name)}<td>{format_number(main.median)} {row.unit}"
        f"<td>{format_number(main.low)} - {format_number(main.high)}"
        f"{times}"
        f"<td>{format_median(row.scaled)}<td>{ratio}<td>{escape(row.text)}. {escape(describe_others(row))}{wrong}</tr>"
    )


def render_details(title: str, found: Mapping[str, object]) -> str:
    """Names and values, folded below their title."""
    items = "".join(f"<tr><td>{escape(str(name))}<td>{escape(str(value))}</tr>" for name, value in found.items())
    return f"<details><summary>{title}</summary><table>{items}</table></details>\n"


def write_files(report: Report, directory: Path) -> list[Path]:
    """Write ``report.html`` and an SVG file for each plot to `directory`; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {"report.html": render(report)} | {f"{name}.svg": picture for name, picture in draw_plots(report).items()}
    for name, content in files.items():
        (directory / name).write_text(content, encoding="utf-8")
    return [directory / name for name in files]


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench html", description="Write a report as HTML and SVG.")
    parser.add_argument("report", type=Path, help="a report that `python -m bench --json` wrote")
    parser.add_argument("--to", type=Path, metavar="DIR", help="directory of the files (REPORT without its suffix)")
    options = parser.parse_args(argv)
    try:
        report = msgspec.json.decode(options.report.read_bytes(), type=Report)
        for file in write_files(report, options.to or options.report.with_suffix("")):
            print(file)
    except (OSError, msgspec.DecodeError) as error:
        print(f"bench html: {error}", file=sys.stderr)
        return 2
    return 0
