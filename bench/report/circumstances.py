"""The circumstances of a report as a Markdown table: report file, command, commit, machine, and whether it was idle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from bench import REPOSITORY
from bench.system.machine import IDLE_LOAD, Commit, Machine

PAGES: Final = REPOSITORY / "docs"
"""Directory of the pages that link to reports."""


def render_circumstances(
    date: str, command: str, commit: Commit, machine: Machine, source: Path | None, others: dict[str, str]
) -> list[str]:
    """Lines of a Markdown table. `source` is the file of the report, `others` are more rows by name."""
    rows = {"report": describe_source(source)} if source is not None else {}
    rows |= {
        "command": f"`{command}`",
        "date, commit": f"{date[:10]}, {describe_commit(commit)}",
        "machine": describe_machine(machine),
        "load average at the start": describe_load(machine),
        **others,
    }
    return ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())]


def describe_source(source: Path) -> str:
    """Link to a report of the repository, and to its plots; only the name of any other file."""
    file = source.resolve()
    if not file.is_relative_to(REPOSITORY):
        return f"`{file.name}`, not in the repository"
    text = link(file)
    if file.with_suffix("").is_dir():
        text += f", plots in {link(file.with_suffix(''))}"
    return text


def link(path: Path) -> str:
    """Markdown link from a page to a file of the repository."""
    return f"[{path.relative_to(REPOSITORY)}]({os.path.relpath(path, PAGES)})"


def describe_commit(commit: Commit) -> str:
    """The commit, and whether the tree had other changes."""
    return (commit.commit[:12] or "unknown") + (" with changes" if commit.dirty else "")


def describe_machine(machine: Machine) -> str:
    """Processor, cores, memory, kernel and file system."""
    m = machine
    return f"{m.cpu}, {m.cores} cores, {m.memory_gib} GiB, kernel {m.kernel}, {m.file_system}"


def describe_load(machine: Machine) -> str:
    """The load average, and whether the machine was idle."""
    if machine.idle:
        return f"{machine.load}: idle"
    return f"{machine.load}: not idle (idle is at most {IDLE_LOAD}), so take no figure at its face value"
