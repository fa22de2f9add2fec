"""Output of the command: notes on stderr, results on stdout, tables for people, JSON for programs."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from _speedups import IMPLEMENTATION
from board.config.settings import Settings
from board.config.shown import shown

log: Final = logging.getLogger(__name__)

stderr: Final = Console(stderr=True, highlight=False)
stdout: Final = Console(highlight=False)


def note(text: str) -> None:
    """Print one line for people on stderr."""
    stderr.print(text, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def make_progress(verb: str, unit: str, *, quiet: bool) -> Progress:
    """A progress bar on stderr: `verb`, the bar, "n/total", `unit`, elapsed time. `quiet` shows nothing."""
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
    return Progress(*columns, console=stderr, disable=quiet)


def make_partition_progress(verb: str, *, quiet: bool) -> Progress:
    """A progress bar over partitions that also shows players: its tasks have a field `players`."""
    return make_progress(verb, "partitions, {task.fields[players]:,} players", quiet=quiet)


def print_settings(s: Settings, *, to_stdout: bool = False) -> None:
    """Print the settings in force, secrets masked: on stderr (or as one log line), or on stdout."""
    kernels = "compiled" if IMPLEMENTATION == "c" else "pure Python (the compiled ones are not installed or not wanted)"
    rows = [*shown(s), ("kernels", kernels)]
    if s.log_format == "json" and not to_stdout:
        log.info("settings: %s", ", ".join(f"{name}={value}" for name, value in rows))
        return
    console = stdout if to_stdout else stderr
    for name, value in rows:
        console.print(f"{name:<31} {value}", markup=False, soft_wrap=True)
