"""Both embedded servers, started and stopped together."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from board.errors import ServerStartFailed
from ctl.embedded import postgres as _postgres
from ctl.embedded import redis as _redis
from ctl.embedded.account import choose_account
from ctl.embedded.data_directory import DataDirectory
from ctl.embedded.installations import Prefer, find_postgres, find_redis
from ctl.embedded.server_process import ServerProcess
from ctl.embedded.wheel_copies import make_usable


class Embedded:
    """A context manager that runs PostgreSQL and Redis, or one of them, inside its block.

    ``prefer``: ``auto`` takes servers installed on the machine before those of wheels, ``system`` and
    ``wheel`` only these. ``durable=False`` (tests only) switches off the protection against a power cut.
    ``report`` gets one line about each step that takes long. ``database_url`` and ``redis_url`` are set inside
    the block.

    Enter it on the main thread: servers end when the thread that started them ends. Entering raises
    DataDirectoryLocked, DataDirectoryMajorMismatch, InvalidSetting or ServerStartFailed.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres: bool,
        redis: bool,
        report: Callable[[str], None],
        prefer: Prefer = "auto",
        durable: bool = True,
    ) -> None:
        self.database_url: str | None = None
        self.redis_url: str | None = None
        self._data_dir = data_dir
        self._postgres = postgres
        self._redis = redis
        self._report = report
        self._prefer = prefer
        self._durable = durable
        self._servers: list[ServerProcess] = []
        self._descriptions: list[str] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._postgres or self._redis:
                try:
                    self._start(stack)
                except OSError as error:  # a full disk, a read-only file system
                    raise ServerStartFailed(f"the embedded servers cannot start: {error}") from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._servers.clear()
        self.database_url = self.redis_url = None
        self._stack.close()

    def keep_running(self) -> None:
        """Start the servers again that have ended, kill those that stand still, and keep their logs within bounds.

        Cheap: call it about every second, on the thread that has entered the block. It waits for no server.
        """
        now = time.monotonic()
        for server in self._servers:
            server.keep_running(now)

    def describe(self) -> list[str]:
        """One line for each server: product, version, origin and data directory."""
        return list(self._descriptions)

    def _start(self, stack: ExitStack) -> None:
        data = DataDirectory(self._data_dir)
        stack.enter_context(data.lock())
        account = choose_account(data.postgres, data.redis)
        data.require_access(account)

        # Both are chosen before either starts, so that a missing one fails at once.
        postgres = redis = None
        if self._postgres:
            found = find_postgres(self._prefer, data.runtime, account)
            chosen = make_usable(_postgres.choose(found, data.postgres), account, data.runtime)
            postgres = _postgres.Postgres(chosen, data, account, durable=self._durable)
        if self._redis:
            found = find_redis(self._prefer, account)
            chosen = make_usable(_redis.choose(found, data), account, data.runtime)
            redis = _redis.Redis(chosen, data, account, durable=self._durable)

        # Before the sockets are cleared: a server that is ending removes its own.
        for server in (postgres, redis):
            if server is not None:
                server.stop_leftovers(self._report)
        sockets = stack.enter_context(data.sockets(account))
        if postgres is not None:
            stack.callback(postgres.stop)
            self.database_url = postgres.start(sockets, self._report)
            self._add(postgres, data.postgres)
        if redis is not None:
            stack.callback(redis.stop)
            self.redis_url = redis.start(sockets, self._report)
            self._add(redis, data.redis)

    def _add(self, server: ServerProcess, directory: Path) -> None:
        self._servers.append(server)
        self._descriptions.append(f"{server.installation.label} in {directory}")
