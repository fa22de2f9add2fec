"""Errors of a command as one line with advice, a stable code and an exit status."""

from __future__ import annotations

import errno
import http.client
from typing import Final, NamedTuple

import psycopg
from psycopg import errors as pg
from redis.exceptions import RedisError, ResponseError

from board.errors import (
    BoardUnavailable,
    FileUnusable,
    LeaderboardError,
    ServerUnreachable,
    StoreUnavailable,
    UnsuitableServer,
    UsageError,
    WrongSchemaVersion,
)
from board.pg.connections import first_line
from board.redis.replies import RedisRefused, code_of, describe

EXPECTED: Final = (LeaderboardError, psycopg.Error, RedisError, OSError, UnicodeError, http.client.HTTPException)
"""What a command may end with. All else is a defect."""

Kind = type[LeaderboardError]


class Failure(NamedTuple):
    """One line for people, a code of docs/errors.md, and the exit status."""

    text: str
    code: str
    exit_code: int


class Cause(NamedTuple):
    """Errors of PostgreSQL, the class of the family that they belong to, and the advice."""

    classes: tuple[type[psycopg.Error], ...]
    kind: Kind
    advice: str


POSTGRES: Final = (
    Cause((pg.InsufficientPrivilege,), StoreUnavailable, "the role of DATABASE_URL needs rights on the schema: own it"),
    Cause(
        (pg.ReadOnlySqlTransaction,),
        StoreUnavailable,
        "DATABASE_URL must lead to a primary, with default_transaction_read_only off",
    ),
    Cause((pg.DiskFull,), StoreUnavailable, "free space on PostgreSQL's disk"),
    Cause((pg.OutOfMemory, pg.ConfigurationLimitExceeded), StoreUnavailable, "give PostgreSQL more memory"),
    Cause(
        (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.InvalidSchemaName),
        WrongSchemaVersion,
        "run `leaderboard migrate`, and see that the search path leads to the schema",
    ),
    Cause(
        (pg.UntranslatableCharacter, pg.CharacterNotInRepertoire),
        UnsuitableServer,
        "the database must be in UTF8: backup, `createdb --template=template0 --encoding=UTF8`, restore",
    ),
    Cause((pg.TooManyConnections,), ServerUnreachable, "raise max_connections"),
    Cause(
        (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.ConnectionException),
        ServerUnreachable,
        "PostgreSQL has ended or is starting: try again",
    ),
    Cause(
        (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure, pg.QueryCanceled),
        StoreUnavailable,
        "another session was in the way, or ended this one: try again",
    ),
)
REDIS: Final = {
    "NOPERM": "the user of REDIS_URL needs the rights that docs/ops/install.md names",
    "NOAUTH": "REDIS_URL needs a password",
    "WRONGPASS": "REDIS_URL has a wrong password",
    "OOM": "raise maxmemory",
    "MISCONF": "Redis cannot save: free its disk",
    "READONLY": "REDIS_URL must lead to the master",
    "LOADING": "Redis loads its data: try again",
}
"""Codes of error replies, and the advice."""
FILES: Final = {
    errno.ENOSPC: "free space there",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "that file system accepts no changes",
    errno.EACCES: "this user may not",
    errno.EPERM: "this user may not",
}
"""Numbers of errors of the operating system, and the advice."""


def explain(error: BaseException) -> Failure:
    """The failure that one of `EXPECTED` stands for; for all others an internal error."""
    if isinstance(error, LeaderboardError):
        return make_failure(type(error), str(error), advise(error.__cause__) or advise(error))
    if isinstance(error, psycopg.Error):
        found = find_cause(error)
        if found is not None:
            return make_failure(found.kind, f"PostgreSQL refused: {first_line(error)}", found.advice)
        if error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return make_failure(ServerUnreachable, f"the connection to PostgreSQL is lost: {first_line(error)}")
        return make_failure(StoreUnavailable, f"PostgreSQL refused: {first_line(error)}")
    if isinstance(error, ResponseError):
        return make_failure(BoardUnavailable, f"Redis refused: {describe(error)}", advise(error))
    if isinstance(error, RedisError):
        return make_failure(BoardUnavailable, f"Redis does not answer: {first_line(error)}")
    if isinstance(error, ConnectionError | TimeoutError | http.client.HTTPException):
        return make_failure(ServerUnreachable, f"the server does not answer: {first_line(error)}")
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        return make_failure(FileUnusable, f"{where}{error.strerror or first_line(error)}", advise(error))
    if isinstance(error, UnicodeError):
        return make_failure(UsageError, f"a setting or an argument is not valid UTF-8: {first_line(error)}")
    return make_failure(LeaderboardError, f"internal error: {type(error).__name__}: {first_line(error)}")


def make_failure(kind: Kind, text: str, advice: str = "") -> Failure:
    """A failure of this class, with the advice behind the text."""
    return Failure(f"{text}; {advice}" if advice else text, kind.code, kind.exit_code)


def advise(error: BaseException | None) -> str:
    """The advice for an error of PostgreSQL, Redis or the operating system; empty if there is none."""
    if isinstance(error, psycopg.Error):
        found = find_cause(error)
        return "" if found is None else found.advice
    if isinstance(error, RedisRefused):
        return REDIS.get(code_of(error.reply), "")
    if isinstance(error, ResponseError):
        return REDIS.get(code_of(error), "")
    if isinstance(error, OSError):
        return FILES.get(error.errno or 0, "")
    return ""


def find_cause(error: psycopg.Error) -> Cause | None:
    """The row of `POSTGRES` for an error."""
    return next((cause for cause in POSTGRES if isinstance(error, cause.classes)), None)
