"""The parts of a PostgreSQL that no setting of a session changes: version, encoding, a pooler in front of it."""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

import psycopg

from board.errors import UnsuitableServer
from board.pg.connections import connect
from board.pg.queries import queries

OLDEST: Final = 15
"""The oldest major version of PostgreSQL that the tests run on."""
ENCODING: Final = "UTF8"

RELEASE_S: Final = 5.0
"""A pooler of sessions resets one within this time after its client has gone."""
LOOK_EVERY_S: Final = 0.02


def find_unsuitable(connection: psycopg.Connection[Any]) -> str | None:
    """What makes this server unsuitable, in one line; None for a suitable one. Costs no round trip."""
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        return f"PostgreSQL {version} is too old, {OLDEST} is the oldest supported version"
    encoding = read_encoding(connection)
    if encoding != ENCODING:
        return (
            f"the database {connection.info.dbname} has the encoding {encoding}, it must be {ENCODING}: create it with "
            f"`createdb --template=template0 --encoding={ENCODING}`"
        )
    return None


def read_encoding(connection: psycopg.Connection[Any]) -> str:
    """The encoding of the database, as PostgreSQL spells it."""
    return connection.info.parameter_status("server_encoding") or "unknown"


def check_server(connection: psycopg.Connection[Any]) -> None:
    """Raise `UnsuitableServer` unless version and encoding are those that the code needs."""
    if (fault := find_unsuitable(connection)) is not None:
        raise UnsuitableServer(fault)


def check_pooling(connection: psycopg.Connection[Any], database_url: str, application: str) -> None:
    """Raise `UnsuitableServer` if a pooler in front of PostgreSQL divides sessions between clients.

    Prepared statements, settings and locks of a session would then be met by other processes. A pooler makes up the
    process number that it tells its clients. So without one this costs one round trip. With one, a second connection
    takes a lock of its session: it must have it in its next transaction, have a process of its own, and lose the lock
    when it closes.
    """
    if _ask(connection, "backend_pid") == connection.info.backend_pid:
        return
    lock = {"one": secrets.randbits(31), "other": secrets.randbits(31)}
    with connect(database_url, application) as probe:
        process = _ask(probe, "take_session_lock", lock)
        kept = process == _ask(probe, "session_lock_holder", lock) == _ask(probe, "backend_pid")
        divided = not kept or process == _ask(connection, "backend_pid")
    deadline = time.monotonic() + RELEASE_S
    while not divided and _ask(connection, "session_lock_holder", lock) is not None:
        divided = time.monotonic() > deadline
        time.sleep(LOOK_EVERY_S)
    if divided:
        raise UnsuitableServer(
            "DATABASE_URL leads to a pooler that divides sessions between its clients (PgBouncer: pool_mode = "
            "transaction); the leaderboard needs sessions of its own (pool_mode = session)"
        )


def _ask(connection: psycopg.Connection[Any], name: str, parameters: dict[str, int] | None = None) -> int | None:
    """The number that a named query returns, or None."""
    # A statement that is prepared would stay in a session that others get.
    ((number,),) = connection.execute(queries()[name], parameters, prepare=False).fetchall()
    return number if number is None else int(number)
