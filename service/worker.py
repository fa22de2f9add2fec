"""The gunicorn worker: uvicorn's, on uvloop and httptools, with the fast path."""

from __future__ import annotations

import logging
import os
import signal
import sys
from functools import partial
from types import TracebackType
from typing import Any, Final

from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

from service.app import WorkerContext
from service.http.fast_path import FastPath

log: Final = logging.getLogger(__name__)


class BootFailure:
    """A context in which an error ends the process, and the whole server: it must not serve errors."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            log.critical("the worker could not start", exc_info=error)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class Worker(UvicornWorker):  # type: ignore[misc]
    """Same worker, its parts chosen instead of guessed, and nothing done per request that nothing reads."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        # gunicorn already tells of starts and stops.
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        # On every answer of both paths. Boards change within milliseconds: a stored answer is an old one.
        "headers": [("x-content-type-options", "nosniff"), ("cache-control", "no-store")],
        "proxy_headers": False,
    }

    wsgi: Any

    async def _serve(self) -> None:
        # uvloop closes a socket it is given and detaches Python's object from it, so that nothing is closed twice. With
        # gunicorn's wrappers it cannot: each stop ended with "Bad file descriptor".
        self.sockets: list[Any] = [wrapper.sock for wrapper in self.sockets]
        with BootFailure():
            # What gunicorn loads as the application builds the worker: that needs the event loop, which runs by now.
            context: WorkerContext = await self.wsgi()
        self.wsgi = context.app
        self.config.http = partial(FastPath, context.routes, context.limiter, context.traffic)
        await super()._serve()

    async def callback_notify(self) -> None:
        """Called by uvicorn now and then. A worker without a master ends, wherever the kernel did not see to it."""
        await super().callback_notify()
        if os.getppid() != self.ppid:
            os.kill(os.getpid(), signal.SIGTERM)
