"""The gunicorn worker: uvicorn's, on uvloop and httptools, with the fast path."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from functools import partial
from types import TracebackType
from typing import Any, Final

from gunicorn.arbiter import Arbiter
from gunicorn.workers import base
from gunicorn.workers.workertmp import WorkerTmp
from uvicorn_worker import UvicornWorker

from board.process.heap import freeze_heap
from service.app import WorkerContext
from service.http.fast_path import FastPath

log: Final = logging.getLogger(__name__)

STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
"""Signals by which the master ends a worker."""


class Heartbeat(WorkerTmp):  # type: ignore[misc]
    """The file whose time tells the master that the worker is alive: in memory, so no directory has to be writable."""

    def __init__(self, cfg: Any) -> None:
        self._tmp = os.fdopen(os.memfd_create("leaderboard-heartbeat"), "w+b", 0)


# gunicorn has no option for another kind of file: its worker makes one of the class that has this name.
base.WorkerTmp = Heartbeat


class BootFailure:
    """A context in which an error ends the process and the whole server, which must not serve errors."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            log.critical("the worker could not start", exc_info=error)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class Worker(UvicornWorker):  # type: ignore[misc]
    """uvicorn's worker with fixed parts, and without access log and other work per request that has no reader."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        # gunicorn already logs starts and stops.
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        # On every answer of both paths.
        "headers": [("x-content-type-options", "nosniff")],
        "proxy_headers": False,
    }

    wsgi: Any

    def init_signals(self) -> None:
        """Set the handlers, and let the signals in that have come since the fork."""
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _install_sigquit_handler(self) -> None:
        """The master passes SIGINT and SIGQUIT on as SIGQUIT. Stop as at SIGTERM: uvicorn itself would go on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, signal.raise_signal, signal.SIGTERM)

    async def _serve(self) -> None:
        # uvloop closes a socket and detaches Python's object, so that it is not closed twice. It cannot do so with
        # gunicorn's wrappers: each stop would end with "Bad file descriptor".
        self.sockets: list[Any] = [wrapper.sock for wrapper in self.sockets]
        with BootFailure():
            # gunicorn's "application" is `build_worker`. It needs the event loop, which runs by now.
            context: WorkerContext = await self.wsgi()
        self.wsgi = context.app
        self.config.headers = [*self.config.headers, *context.headers]
        self.config.http = partial(FastPath, context.routes, context.limiter, context.traffic)
        freeze_heap()
        await super()._serve()

    async def callback_notify(self) -> None:
        """Called by uvicorn regularly. A worker without a master ends, also where the kernel does not end it."""
        await super().callback_notify()
        if os.getppid() != self.ppid:
            os.kill(os.getpid(), signal.SIGTERM)
