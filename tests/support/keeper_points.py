"""A keeper that kills or stops itself at a named point: ``python -m support.keeper_points POINT SIGNAL PASS``.

It is the product's keeper, composed as `relay.__main__` does, on connections that count how often they came to the
point. An uncommitted point is after a statement, before the commit of its transaction. A committed one is before the
next statement after it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Final

import psycopg

import relay.keeper
from board.config.load import load
from board.observe.log import setup
from board.pg.connections import connect
from board.pg.queries import queries
from board.process.stop import Stop
from relay.keeper import PeriodKeeper

POINTS: Final = (
    "before turn_season",
    "uncommitted turn_season",
    "committed turn_season",
    "before period_has_rows",
    "during write_standings",
    "committed write_standings",
    "before finish_period",
    "uncommitted finish_period",
    "committed finish_period",
    "committed expire_periods",
)
"""Where a keeper can die or stand still. Those of `write_standings` are bites of standings, each a commit."""
CORRECTION_POINTS: Final = (
    "before verdicts_in_force",
    "committed note_correction_progress",
    "uncommitted lock_rows_to_correct",
    "uncommitted write_corrected_rows",
    "before end_correction",
    "uncommitted end_correction",
    "committed end_correction",
)
"""Amid the application of a correction. All that it writes is one commit."""


class Bomb:
    """Counts passes of one point, and acts at the one it was made for."""

    def __init__(self, point: str, number: signal.Signals, at: int) -> None:
        self.point: Final = point
        self.number: Final = number
        self.left = at
        self.last = ""
        """The statement before."""

    def pass_by(self, point: str) -> None:
        """Count a pass, and end, or stand still until SIGCONT, if it is the one."""
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), self.number)

    def begin(self, name: str) -> None:
        """A statement is about to be sent, so that of before is committed, unless the two are of one transaction."""
        self.pass_by(f"committed {self.last}")
        self.pass_by(f"before {name}")

    def end(self, name: str) -> None:
        """A statement was executed."""
        self.pass_by(f"uncommitted {name}")
        self.last = name


NAMES: Final = {text: name for name, text in queries().items()}


class PointedCursor(psycopg.Cursor[Any]):
    """A cursor with a bomb in it."""

    bomb: Bomb

    def execute(self, query: Any, *args: Any, **options: Any) -> Any:
        name = NAMES.get(query, "")
        self.bomb.begin(name)
        super().execute(query, *args, **options)
        self.bomb.end(name)
        return self

    def copy(self, statement: Any, *args: Any, **options: Any) -> Any:
        name = NAMES[statement]
        self.bomb.begin(name)
        return PointedCopy(super().copy(statement, *args, **options), self.bomb, name)


class PointedCopy:
    """A COPY with a bomb in it."""

    def __init__(self, made: Any, bomb: Bomb, name: str) -> None:
        self.made: Final = made
        self.bomb: Final = bomb
        self.name: Final = name

    def __enter__(self) -> Any:
        self.copy: Any = self.made.__enter__()
        return self

    def write_row(self, row: Any) -> None:
        self.copy.write_row(row)
        self.bomb.pass_by(f"during {self.name}")

    def __exit__(self, *problem: Any) -> Any:
        ended = self.made.__exit__(*problem)
        self.bomb.end(self.name)
        return ended


def main(argv: list[str]) -> int:
    """Compose and run."""
    point, number, at = argv
    assert point in (*POINTS, *CORRECTION_POINTS)
    PointedCursor.bomb = Bomb(point, signal.Signals[number], int(at))

    def connect_pointed(*args: Any, **options: Any) -> Any:
        db = connect(*args, **options)
        db.cursor_factory = PointedCursor
        return db

    setattr(relay.keeper, "connect", connect_pointed)  # noqa: B010 - no name that the module gives to others
    settings = load()
    setup(settings.log_level)
    PeriodKeeper(settings, Stop()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
