"""The report of an anatomy: processor time of one request by process, function and command, as JSON and Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bench.report.circumstances import render_circumstances
from bench.report.svg import draw_bars
from bench.system.machine import Commit, Machine

LEAST_US: Final = 0.5
"""Smaller times are summed in one line of a page."""


class Anatomy(msgspec.Struct, frozen=True):
    """Microseconds per request: `budget` by kind of process, `functions` of worker and relay, `postgres` by kind of
    PostgreSQL's processes. `redis` has calls per request and microseconds inside the command, as Redis counts them.
    `per_s` is the rate of requests meanwhile."""

    request: str
    per_s: float
    budget: dict[str, float]
    functions: dict[str, dict[str, float]]
    postgres: dict[str, float]
    redis: dict[str, tuple[float, float]]


class AnatomyReport(msgspec.Struct, frozen=True):
    """An anatomy and its circumstances."""

    date: str
    command: str
    commit: Commit
    machine: Machine
    anatomy: Anatomy

    @property
    def block(self) -> str:
        """Name of the block of a page with this anatomy."""
        return f"anatomy-{self.anatomy.request}"


def render(report: AnatomyReport, source: Path | None = None) -> str:
    """Circumstances and times as Markdown tables. `source` is the file of the report."""
    found, others = report.anatomy, {"requests": f"{report.anatomy.per_s:,.0f}/s"}
    lines = render_circumstances(report.date, report.command, report.commit, report.machine, source, others)
    lines += ["", "| time on a core per request | µs |", "|---|---|"]
    for title, figures, least in (
        ("", budget_of(found), 0.0),
        *((f"{role}: ", functions, LEAST_US) for role, functions in found.functions.items()),
        ("PostgreSQL: ", found.postgres, LEAST_US),
    ):
        shown = {name: value for name, value in figures.items() if value >= least}
        lines += [f"| {title}{name} | {value:.1f} |" for name, value in sorted(shown.items(), key=lambda x: -x[1])]
        if rest := sum(figures.values()) - sum(shown.values()):
            lines.append(f"| {title}all others | {rest:.1f} |")
    lines += [
        f"| Redis: {name}, {calls:.3f} calls | {us:.1f} |"
        for name, (calls, us) in sorted(found.redis.items(), key=lambda item: -item[1][1])
        if us >= LEAST_US
    ]
    return "\n".join(lines) + "\n"


def budget_of(found: Anatomy) -> dict[str, float]:
    """Microseconds per request by kind of process, without their sum."""
    return {name.removesuffix("_us"): value for name, value in found.budget.items() if name != "us"}


def write_plot(report: AnatomyReport, directory: Path) -> Path:
    """Write ``processes.svg``, the times by kind of process, to `directory`; returns its path."""
    rows = [(name, us, us, us) for name, us in sorted(budget_of(report.anatomy).items(), key=lambda item: -item[1])]
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "processes.svg"
    file.write_text(draw_bars(f"{report.anatomy.request}: time on a core per request", "µs", rows), encoding="utf-8")
    return file
