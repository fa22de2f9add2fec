"""Connections to PostgreSQL, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import conninfo

from board.errors import InvalidSetting, OutcomeUnknown, ServerUnreachable, StoreUnavailable


def dsn(database_url: str, application: str, connect_timeout_s: int = 5) -> str:
    """The connection string with the application's name, and bounds on connecting and on silent networks.

    Options of the URL win. Raises `InvalidSetting`.
    """
    if not database_url:
        raise InvalidSetting("DATABASE_URL is empty; set it, or use `leaderboard run`, which starts its own server")
    defaults: dict[str, Any] = {
        "connect_timeout": connect_timeout_s,
        "application_name": application,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    try:
        given = conninfo.conninfo_to_dict(database_url)
        return conninfo.make_conninfo(database_url, **{k: v for k, v in defaults.items() if k not in given})
    except psycopg.ProgrammingError as error:
        raise InvalidSetting(f"DATABASE_URL is no PostgreSQL connection string: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, to be quoted in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def make_write_error(
    error: psycopg.Error, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]
) -> OutcomeUnknown | StoreUnavailable:
    """What an error means for a change: not written, unless the connection is closed. Then it may be written.

    That holds even where PostgreSQL sent an error: 57P01 and others can come after the commit record is written.
    """
    kind = OutcomeUnknown if connection.closed else StoreUnavailable
    return kind(first_line(error))


def connect(
    database_url: str, application: str, *, autocommit: bool = True, session: dict[str, str] | None = None
) -> psycopg.Connection[Any]:
    """Open a synchronous connection. `session`: PostgreSQL settings for its whole life. Raises `ServerUnreachable`."""
    text = dsn(database_url, application)
    try:
        connection = psycopg.connect(text, autocommit=True)
        for name, value in (session or {}).items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.autocommit = autocommit
    except psycopg.OperationalError as error:
        raise ServerUnreachable(f"PostgreSQL does not answer: {first_line(error)}") from error
    return connection


async def connect_async(
    database_url: str, application: str, *, session: dict[str, str] | None = None, timeout_s: float = 5.0
) -> psycopg.AsyncConnection[Any]:
    """Open an asynchronous autocommit connection within `timeout_s` seconds. Raises `ServerUnreachable`."""
    text = dsn(database_url, application)
    try:
        # libpq's own connect_timeout takes whole seconds, and at least two.
        async with asyncio.timeout(timeout_s):
            connection = await psycopg.AsyncConnection.connect(text, autocommit=True)
            for name, value in (session or {}).items():
                await connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    except TimeoutError as error:
        raise ServerUnreachable(f"PostgreSQL does not answer within {timeout_s:g} s") from error
    except psycopg.OperationalError as error:
        raise ServerUnreachable(f"PostgreSQL does not answer: {first_line(error)}") from error
    return connection


def sever(connection: psycopg.AsyncConnection[Any]) -> None:
    """Shut the socket under a call that hangs: the call then fails like one whose server has ended.

    Cancelling the task instead would make psycopg cancel the query in the server first, over the same dead network,
    for many seconds. On a closed connection this does nothing.
    """
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as wire, contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def lifeline(connection: psycopg.AsyncConnection[Any], seconds: float) -> Iterator[None]:
    """Cut the connection after `seconds`, so that everything awaited on it inside the block ends by then."""
    timer = asyncio.get_running_loop().call_later(seconds, sever, connection)
    try:
        yield
    finally:
        timer.cancel()
