"""The prefix of the keys in Redis that belong to a database.

Processes with two prefixes on one database would take each other's hints, and each would show half of the scores. So
the database keeps the prefix of the first one that starts, and the others are refused.
"""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from board.errors import InvalidSetting
from board.pg.queries import queries


def check_prefix(db: psycopg.Connection[Any], prefix: str) -> None:
    """Raise `InvalidSetting` if the boards of this database are kept under another prefix."""
    recorded = read_prefix(db)
    if recorded not in (None, prefix):
        raise InvalidSetting(
            f"LEADERBOARD_REDIS_PREFIX is {prefix!r}, but the boards of this database are under {recorded!r}; "
            "to change that, stop all processes and run `leaderboard migrate --adopt-prefix`"
        )


def record_prefix(db: psycopg.Connection[Any], prefix: str) -> None:
    """Record the prefix, unless there is one. Raises `InvalidSetting` if that is another one.

    A database that accepts no changes stays as it is: the next start records the prefix.
    """
    if read_prefix(db) is None:
        with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction):
            db.execute(queries()["record_prefix"], {"prefix": prefix})
    check_prefix(db, prefix)


def replace_prefix(db: psycopg.Connection[Any], prefix: str) -> None:
    """Record the prefix in the place of any other one."""
    db.execute(queries()["replace_prefix"], {"prefix": prefix})


def read_prefix(db: psycopg.Connection[Any]) -> str | None:
    """The recorded prefix; None before the first start."""
    rows = db.execute(queries()["recorded_prefix"]).fetchall()
    return rows[0][0] if rows else None
