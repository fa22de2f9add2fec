"""Output of the command: notes on stderr, results on stdout, tables for people, JSON for programs.

The only module of `ctl` that knows rich. All that it shows goes through `board.text`: ids, names and messages of others
are neither markup nor commands of a terminal.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from _speedups import IMPLEMENTATION
from board.config.settings import Settings
from board.config.shown import shown
from board.text import visible, visible_json

log: Final = logging.getLogger(__name__)

PROGRAM: Final = "leaderboard"

stderr: Final = Console(stderr=True, highlight=False, markup=False, emoji=False)
stdout: Final = Console(highlight=False, markup=False, emoji=False)


Block = RenderableType
"""A table or a text, made by `make_table` or `make_text`."""


class Column(NamedTuple):
    """A column of a table: its head, and whether its cells are numbers."""

    head: str
    number: bool = False


def find_program_name() -> str:
    """The command as it can be typed here: by its name if the shell finds it, else by its path."""
    beside = Path(sys.executable).with_name(PROGRAM)
    if shutil.which(PROGRAM) or not beside.exists():
        return PROGRAM
    here = Path.cwd()
    return str(beside.relative_to(here)) if beside.is_relative_to(here) else str(beside)


def name_program(text: str) -> str:
    """The text with its commands as they can be typed here: `leaderboard key create` has a path if it needs one."""
    return text.replace(f"`{PROGRAM} ", f"`{find_program_name()} ") if f"`{PROGRAM} " in text else text


def note(text: str) -> None:
    """Print one line for people on stderr."""
    stderr.print(visible(name_program(text)), soft_wrap=True)


def rule(title: str = "") -> None:
    """Draw a line on stderr, with a title in it."""
    stderr.rule(make_text(title, "bold"))


def print_line(text: str) -> None:
    """Print one line of a result on stdout."""
    stdout.print(visible(text), soft_wrap=True)


def print_parts(*parts: Block) -> None:
    """Print tables and texts on stdout."""
    stdout.print(Group(*parts))


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.flush()
    sys.stdout.buffer.write(visible_json(msgspec.json.format(msgspec.json.encode(value), indent=2)) + b"\n")
    sys.stdout.buffer.flush()


def print_json_line(value: Any) -> None:
    """Print one JSON document as one line of stdout, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(visible_json(msgspec.json.encode(value)) + b"\n")
    sys.stdout.buffer.flush()


def print_error(text: str, code: str, *, as_json: bool) -> None:
    """Print the error that ends a command: one line on stderr, with `as_json` also a document on stdout."""
    line = visible(name_program(text.strip()))
    if as_json:
        sys.stdout.flush()
        sys.stdout.buffer.write(visible_json(msgspec.json.encode({"error": line, "code": code})) + b"\n")
        sys.stdout.buffer.flush()
    print(f"{PROGRAM}: {line}", file=sys.stderr)


def make_text(text: str, style: str = "") -> Text:
    """A text, or a cell of a table."""
    return Text(visible(name_program(text)), style=style)


def make_table(
    columns: Sequence[Column], rows: Iterable[Sequence[str | Text]], *, title: str = "", caption: str = ""
) -> Table:
    """A table of cells, which are texts or made by `make_text`."""
    table = Table(
        header_style="bold", title=make_text(title) if title else None, caption=make_text(caption) if caption else None
    )
    for column in columns:
        table.add_column(column.head, justify="right" if column.number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(make_text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def make_live(console: Console) -> Live:
    """A part of the screen that is drawn again at each `show`."""
    return Live(console=console, auto_refresh=False)


def show(live: Live, *parts: Block) -> None:
    """Draw these parts instead of the last ones."""
    live.update(Group(*parts), refresh=True)


@contextmanager
def redrawing() -> Iterator[Callable[..., None]]:
    """Draw parts on stdout, each time instead of the last ones; below them, if stdout is no terminal."""
    if not stdout.is_terminal:
        yield print_parts
        return
    with make_live(stdout) as live:
        yield lambda *parts: show(live, *parts)


def make_progress(verb: str, unit: str, *, quiet: bool) -> Progress:
    """A progress bar on stderr: `verb`, the bar, "n/total", `unit`, elapsed time. `quiet` shows nothing."""
    words = [TextColumn(text, markup=False) for text in (verb, unit)]
    columns = (words[0], BarColumn(), MofNCompleteColumn(), words[1], TimeElapsedColumn())
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
    console.print("\n".join(visible(f"{name:<31} {value}") for name, value in rows), soft_wrap=True)


def give_up_stdout() -> None:
    """Send what waits for stdout, which takes no more, nowhere: the interpreter would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
