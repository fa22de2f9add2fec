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
from board.pg.requirements import check_pooling
from board.redis.keyspace import Keyspace
from board.redis.node import WrongNode
from board.redis.sync_redis import SyncRedis
from board.redis.topology.layout import SLOTS

APPLICATION: Final = "leaderboard-ctl"
"""The name of the command's connections; `restore` tells them from those of API and relays by it."""

RETRY_S: Final = 0.25
REDIS_APART_S: Final = 1.0
"""The time for a node of a cluster to answer at a start, which needs only one of them."""


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


def make_redis(s: Settings, keys: Keyspace | None = None) -> SyncRedis:
    """A Redis connection that opens with its first call, and then names the `keys`. Raises `InvalidSetting`."""
    return SyncRedis(s.redis_url, APPLICATION, keys=keys)


def check_pooler(s: Settings, db: psycopg.Connection[Any]) -> None:
    """Raise `UnsuitableServer` if a pooler in front of PostgreSQL divides sessions between clients."""
    check_pooling(db, s.database_url, APPLICATION)


def check_postgres(s: Settings, *, starts: bool = False) -> None:
    """Check that PostgreSQL answers, is suitable, has the right schema, and has no boards under another prefix.

    A process that `starts` records its prefix there. Raises `ServerUnreachable`, `UnsuitableServer`,
    `WrongSchemaVersion`, `InvalidSetting` and `StoreUnavailable`.
    """
    with connect_postgres(s) as db:
        check_pooler(s, db)
        schema.check(db)
        try:
            (record_prefix if starts else check_prefix)(db, s.redis_prefix)
        except psycopg.Error as error:
            raise StoreUnavailable(f"the Redis prefix cannot be recorded: {first_line(error)}") from error


def check_redis(s: Settings) -> None:
    """Raise `BoardUnavailable` unless Redis answers: for a cluster one master, and no slot is without a master."""
    with closing(SyncRedis(s.redis_url, APPLICATION, apart_s=REDIS_APART_S)) as redis:
        redis.connect()
        if redis.layout is not None and redis.layout.missing:
            raise WrongNode(f"{redis.layout.missing} of the {SLOTS} slots of the cluster have no master")


def check_servers(s: Settings, *, starts: bool = False) -> None:
    """Check both servers, PostgreSQL first."""
    check_postgres(s, starts=starts)
    check_redis(s)
