"""Connections of the command to PostgreSQL and Redis."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Final

import psycopg

from board.config.settings import Settings
from board.errors import ServerUnreachable, StoreUnavailable
from board.pg import schema
from board.pg.connections import connect, first_line
from board.pg.prefix import check_prefix, record_prefix
from board.redis.sync_redis import SyncRedis

APPLICATION: Final = "leaderboard-ctl"
"""The name of the command's connections; `restore` tells them from those of API and relays by it."""

RETRY_S: Final = 0.25


def connect_postgres(s: Settings, wait_s: float = 0.0) -> psycopg.Connection[Any]:
    """An autocommit connection; tried again for `wait_s` seconds. Raises `ServerUnreachable`."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return connect(s.database_url, APPLICATION)
        except ServerUnreachable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_S)


def make_redis(s: Settings) -> SyncRedis:
    """A Redis connection that opens with its first call. Raises `InvalidSetting`."""
    return SyncRedis(s.redis_url, APPLICATION)


def check_postgres(s: Settings, *, starts: bool = False) -> None:
    """Check that PostgreSQL answers with the right schema, and has no boards under another prefix.

    A process that `starts` records its prefix there. Raises `ServerUnreachable`, `WrongSchemaVersion`, `InvalidSetting`
    and `StoreUnavailable`.
    """
    with connect_postgres(s) as db:
        schema.check(db)
        try:
            (record_prefix if starts else check_prefix)(db, s.redis_prefix)
        except psycopg.Error as error:
            raise StoreUnavailable(f"the Redis prefix cannot be recorded: {first_line(error)}") from error


def check_redis(s: Settings) -> None:
    """Raise `BoardUnavailable` unless Redis answers."""
    with closing(make_redis(s)) as redis:
        redis.connect()


def check_servers(s: Settings, *, starts: bool = False) -> None:
    """Check both servers, PostgreSQL first."""
    check_postgres(s, starts=starts)
    check_redis(s)
