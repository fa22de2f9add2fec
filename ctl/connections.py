"""Connections of the command to PostgreSQL and Redis."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Final

import psycopg

from board.config.settings import Settings
from board.errors import ServerUnreachable
from board.pg import schema
from board.pg.connections import connect
from board.pg.requirements import check_pooling
from board.redis.sync_redis import SyncRedis

APPLICATION: Final = "leaderboard-ctl"
"""The name of the command's connections; `restore` tells them from those of API and relays by it."""

RETRY_S: Final = 0.25


def connect_postgres(s: Settings, wait_s: float = 0.0, *, writes: bool = False) -> psycopg.Connection[Any]:
    """An autocommit connection; tried again for `wait_s` seconds.

    Raises `ServerUnreachable`; with `writes` also for a server that accepts no changes.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return connect(s.database_url, APPLICATION, writes=writes)
        except ServerUnreachable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_S)


def make_redis(s: Settings) -> SyncRedis:
    """A Redis connection that opens with its first call. Raises `InvalidSetting`."""
    return SyncRedis(s.redis_url, APPLICATION)


def check_pooler(s: Settings, db: psycopg.Connection[Any]) -> None:
    """Raise `UnsuitableServer` if a pooler in front of PostgreSQL divides sessions between clients."""
    check_pooling(db, s.database_url, APPLICATION)


def check_postgres(s: Settings) -> None:
    """Check that PostgreSQL answers, that it is suitable, and that it has the right schema.

    Raises `ServerUnreachable`, `UnsuitableServer` or `WrongSchemaVersion`.
    """
    with connect_postgres(s) as db:
        check_pooler(s, db)
        schema.check(db)


def check_redis(s: Settings) -> None:
    """Raise `BoardUnavailable` unless Redis answers."""
    with closing(make_redis(s)) as redis:
        redis.connect()


def check_servers(s: Settings) -> None:
    """Check both servers, PostgreSQL first."""
    check_postgres(s)
    check_redis(s)
