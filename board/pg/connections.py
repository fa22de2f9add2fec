"""Connections to PostgreSQL, synchronous and asynchronous.

The session is the program's own. `ALTER ROLE … SET`, `ALTER DATABASE … SET`, options of the URL and PG* variables
decide nothing that the code depends on: every connection begins with one statement that sets `PINNED`. Other PG*
variables add what the URL leaves out. Values that libpq refuses are errors of settings, not of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import select
import socket
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg import conninfo, pq

from board.errors import InvalidSetting, OutcomeUnknown, ServerUnreachable, StoreUnavailable

PINNED: Final[dict[str, str]] = {
    # Texts travel in UTF-8, those that the kernels pack included (`board.pg.arrays`).
    "client_encoding": "UTF8",
    # Claim and take are two statements with two snapshots (docs/decisions.md, D1). A submission that waited for a lock
    # reads the new row; under REPEATABLE READ it would fail.
    "default_transaction_isolation": "read committed",
    # The caller decides how long its work may take: a rebuild takes minutes.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    # The texts of values, and the reading of literals.
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
"""PostgreSQL's settings for every connection; those of the caller (`session`) go before them.

These stay as role and URL say: `search_path`, `synchronous_commit`, and `default_transaction_read_only`, by which an
administrator protects a database.
"""

SESSION_VARIABLES: Final = frozenset({"PGOPTIONS", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO"})
"""Variables of libpq that change settings of a session."""
_SENT_AT_START: Final = ("PGDATESTYLE", "PGTZ", "PGGEQO")
"""Those that no connection string overrides. PostgreSQL refuses a session for a value that it does not know."""

_SINCE: Final = {"idle_session_timeout": 14_00_00, "transaction_timeout": 17_00_00}
"""The versions from which on there are these settings."""


def dsn(database_url: str, application: str, connect_timeout_s: int = 5) -> str:
    """The connection string with the application's name, and bounds on connecting and on silent networks.

    Options of the URL win, but for the name, by which `restore` and `doctor` know the processes, and the encoding.
    PGOPTIONS does not count: options are those of the URL. Neither does PGHOSTADDR beside a host. The first call takes
    the variables that a session would begin with out of the environment. Raises `InvalidSetting`.
    """
    for name in _SENT_AT_START:
        os.environ.pop(name, None)
    if not database_url:
        raise InvalidSetting(
            "DATABASE_URL is empty; set it, or start everything with `leaderboard run`: commands "
            "find that by its data directory (LEADERBOARD_DATA_DIR)"
        )
    defaults: dict[str, Any] = {
        "connect_timeout": connect_timeout_s,
        "options": "",
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    try:
        given = conninfo.conninfo_to_dict(database_url)
        if "host" in given:
            defaults["hostaddr"] = ""
        added = {name: value for name, value in defaults.items() if name not in given}
        text = conninfo.make_conninfo(database_url, **added, application_name=application, client_encoding="UTF8")
    except psycopg.ProgrammingError as error:
        raise InvalidSetting(f"DATABASE_URL is no PostgreSQL connection string: {first_line(error)}") from error
    if refusal := find_refusal(text):
        raise InvalidSetting(f"DATABASE_URL or a PG* variable has a value that libpq refuses: {refusal}")
    return text


@functools.cache
def find_refusal(text: str) -> str:
    """What libpq finds wrong with the values of a connection string or of PG* variables; empty for nothing.

    libpq checks values when it connects, and tells them by no code from a server that does not answer. So it begins to
    connect to a port of this process, which it leaves as soon as it has checked them.
    """
    port = conninfo.conninfo_to_dict(text).get("port") or os.environ.get("PGPORT", "")
    for one in str(port).split(","):
        if one and not (one.strip().isascii() and one.strip().isdigit() and 0 < int(one) < 65536):
            return f'invalid port "{one}"'
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        except OSError:
            return ""  # without a loopback, the first connection finds out
        own = {"host": "127.0.0.1", "hostaddr": "127.0.0.1", "port": listener.getsockname()[1]}
        attempt = pq.PGconn.connect_start(conninfo.make_conninfo(text, **own).encode())
        try:
            return first_line(attempt.get_error_message()) if attempt.status == pq.ConnStatus.BAD else ""
        finally:
            attempt.finish()


def first_line(error: BaseException | str) -> str:
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
    database_url: str,
    application: str,
    *,
    autocommit: bool = True,
    session: dict[str, str] | None = None,
    writes: bool = False,
) -> psycopg.Connection[Any]:
    """Open a synchronous connection. `session`: PostgreSQL settings for its whole life.

    Raises `ServerUnreachable`; with `writes` also for a server that accepts no changes.
    """
    text = dsn(database_url, application)
    try:
        with contextlib.ExitStack() as undo:
            connection = psycopg.connect(text, autocommit=True)
            undo.callback(connection.close)
            row = connection.execute(*make_first_statement(connection.info.server_version, session)).fetchone()
            if writes:
                check_writable(row)
            connection.autocommit = autocommit
            undo.pop_all()
    except psycopg.Error as error:
        raise ServerUnreachable(f"PostgreSQL does not answer: {first_line(error)}") from error
    return connection


async def connect_async(
    database_url: str,
    application: str,
    *,
    session: dict[str, str] | None = None,
    timeout_s: float = 5.0,
    writes: bool = False,
) -> psycopg.AsyncConnection[Any]:
    """Open an asynchronous autocommit connection within `timeout_s` seconds.

    Raises `ServerUnreachable`; with `writes` also for a server that accepts no changes.
    """
    text = dsn(database_url, application)
    deadline = asyncio.get_running_loop().time() + timeout_s
    try:
        # libpq's own connect_timeout takes whole seconds, and at least two.
        async with asyncio.timeout_at(deadline):
            connection = await psycopg.AsyncConnection.connect(text, autocommit=True)
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(connection.close)
            with lifeline(connection, deadline - asyncio.get_running_loop().time()):
                first = make_first_statement(connection.info.server_version, session)
                row = await (await connection.execute(*first)).fetchone()
            if writes:
                check_writable(row)
            undo.pop_all()
    except TimeoutError as error:
        raise ServerUnreachable(f"PostgreSQL does not answer within {timeout_s:g} s") from error
    except psycopg.Error as error:
        raise ServerUnreachable(f"PostgreSQL does not answer: {first_line(error)}") from error
    return connection


def make_first_statement(server_version: int, session: dict[str, str] | None) -> tuple[bytes, list[str]]:
    """The first statement of a session, and its parameters.

    It sets all settings in one round trip. Its first column says whether the session accepts no changes: the server is
    a standby, or `default_transaction_read_only` is on.
    """
    settings = PINNED | (session or {})
    pairs = [(name, value) for name, value in settings.items() if server_version >= _SINCE.get(name, 0)]
    calls = b", set_config(%s, %s, false)" * len(pairs)
    return b"SELECT current_setting('transaction_read_only')::boolean" + calls, [
        text for pair in pairs for text in pair
    ]


def check_writable(row: tuple[Any, ...] | None) -> None:
    """Raise `ServerUnreachable` if the first statement's row says that the session accepts no changes."""
    if row is not None and row[0]:
        raise ServerUnreachable(
            "PostgreSQL accepts no changes: it is a standby, or default_transaction_read_only is on"
        )


def is_open(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> bool:
    """Whether an idle connection is still open, as far as this end has been told. Neither waits nor asks the server.

    A server that ends, or a pooler that limits idle time, closes connections between two statements. Found out here,
    that is a new connection; found out by a statement, the statement's outcome is unknown.
    """
    look = select.poll()
    try:
        look.register(connection.fileno(), select.POLLIN)
        # Messages that belong to no statement are consumed: the reason for the end comes before the end.
        while look.poll(0):
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return True


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
