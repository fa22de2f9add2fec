"""The two connections of a relay: one to PostgreSQL, one to Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.rows import namedtuple_row

from board.errors import ServerUnreachable
from board.periods import find_history
from board.pg.arrays import adapt_arrays
from board.pg.connections import connect, first_line
from board.pg.queries import queries
from board.pg.steps import run_steps
from board.process.beats import Beat
from board.redis.keyspace import Keyspace
from board.redis.sync_redis import SyncRedis

SESSION: Final = {
    # Every join of `take` is a look-up by key for a few thousand rows. The statistics of a queue are never right, so
    # plans that would read whole tables are ruled out.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    # A relay that hangs must not hold its claim, or the vacuum horizon, for ever.
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "5s",
}


class RelaySession:
    """One PostgreSQL and one Redis connection, both open; `identity` says which PostgreSQL this is, `epoch` which run
    of it.

    `limit` is the most hints of one batch; with `traced` a batch takes the traces of its hints along; `beat` gives the
    signs of life of long work. With `apart_s` a node of a cluster that does not answer for so many seconds is as if it
    refused its commands (`NodeUnavailable`). When a connection is lost, calls raise `psycopg.OperationalError` or
    `BoardUnavailable`: close the session then, and make a new one.
    """

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        keys: Keyspace,
        *,
        limit: int,
        redis_timeout_s: float,
        traced: bool = False,
        beat: Beat | None = None,
        apart_s: float | None = None,
    ) -> None:
        self.keys: Final = keys
        self.limit: Final = limit
        self.traced: Final = traced
        self.beat: Final = beat or Beat()
        self.redis: Final = SyncRedis(redis_url, "leaderboard-relay", redis_timeout_s, keys=keys, apart_s=apart_s)
        self.redis.connect()
        self.sql: Final = queries()
        self.db: Final = connect(database_url, "leaderboard-relay", session=SESSION, writes=True)
        adapt_arrays(self.db)
        self.cursor: Final[psycopg.Cursor[Any]] = self.db.cursor(binary=True, row_factory=namedtuple_row)
        self.identity: Final[str] = self.value("identity")
        self.epoch: Final[str] = self.value("epoch")
        run_steps(self.db, find_history())

    def stamp(self, fence: int) -> str:
        """The stamp of a batch with this fence, for PostgreSQL and Redis."""
        return f"{fence}.{self.epoch}"

    def close(self) -> None:
        """Close both connections; a claim in hand ends with them."""
        self.db.close()
        self.redis.close()

    def fetch(self, name: str, **parameters: Any) -> list[Any]:
        """Run a named query; return its rows, named tuples of the query's columns. Arrays are bytes."""
        return self._run(name, parameters or None).fetchall()

    def value(self, name: str, **parameters: Any) -> Any:
        """Run a named query of one row and one column; return its value."""
        ((value,),) = self.fetch(name, **parameters)
        return value

    def execute(self, name: str, **parameters: Any) -> None:
        """Run a named query that returns no rows."""
        self._run(name, parameters)

    def _run(self, name: str, parameters: dict[str, Any] | None) -> psycopg.Cursor[Any]:
        try:
            return self.cursor.execute(self.sql[name], parameters, prepare=True)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            # A new session finds the server that accepts changes, or waits for it.
            raise ServerUnreachable(f"PostgreSQL accepts no changes: {first_line(error)}") from error

    def check_writable(self) -> None:
        """Raise `ServerUnreachable` where PostgreSQL accepts no changes any more: new hints are on another server."""
        if self.value("read_only"):
            raise ServerUnreachable("PostgreSQL accepts no changes any more")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A REPEATABLE READ transaction: a first claim and everything read after it are of one snapshot.

        A claim of a row that was committed to after the snapshot raises `psycopg.errors.SerializationFailure`. So the
        holder of the claim sees everything that the last holder has written.
        """
        self.db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            with self.db.transaction():
                yield
        finally:
            if not self.db.closed:
                self.db.isolation_level = None
