"""What the command prints: notes on stderr, results on stdout, tables for people, JSON for programs."""

from __future__ import annotations

import logging
import sys
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from _speedups import IMPLEMENTATION
from board.config.settings import Settings
from board.config.shown import shown

log = logging.getLogger("ctl")

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False)


def note(text: str) -> None:
    """A line for the person who waits."""
    stderr.print(text, markup=False, soft_wrap=True)


def json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def partition_progress(verb: str, *, quiet: bool) -> Progress:
    """A bar over partitions that also counts players (task field `players`)."""
    counted = TextColumn("partitions, {task.fields[players]:,} players")
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), counted, TimeElapsedColumn())
    return Progress(*columns, console=stderr, disable=quiet)


def settings(s: Settings, *, to_stdout: bool = False) -> None:
    """The settings in force, secrets masked."""
    kernels = "compiled" if IMPLEMENTATION == "c" else "pure Python (the compiled ones are not installed or not wanted)"
    if s.log_format == "json" and not to_stdout:
        log.info("settings: %s", ", ".join(f"{name}={value}" for name, value in [*shown(s), ("kernels", kernels)]))
        return
    console = stdout if to_stdout else stderr
    for name, value in [*shown(s), ("kernels", kernels)]:
        console.print(f"{name:<31} {value}", markup=False, soft_wrap=True)
