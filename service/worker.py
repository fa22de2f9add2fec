"""The gunicorn worker class: uvicorn's, on uvloop and httptools, with the express lane."""

from __future__ import annotations

import os
import signal
from typing import Any

from uvicorn_worker import UvicornWorker

from service.http.fast_path import Protocol


class Worker(UvicornWorker):  # type: ignore[misc]
    """Same worker, its parts chosen instead of guessed, and nothing done per request that nobody reads."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012
        "loop": "uvloop",
        "http": Protocol,
        "ws": "none",
        # A failed start must stop the process, not serve errors.
        "lifespan": "on",
        # gunicorn already tells of starts and stops.
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        # On every answer of both lanes. Boards change within milliseconds: whoever stores an answer shows an old one.
        "headers": [("x-content-type-options", "nosniff"), ("cache-control", "no-store")],
        "proxy_headers": False,
    }

    async def _serve(self) -> None:
        # uvloop closes a socket it is given and detaches Python's object from it, so that nothing is closed twice. With
        # gunicorn's wrappers it cannot: each stop ended with "Bad file descriptor".
        self.sockets: list[Any] = [wrapper.sock for wrapper in self.sockets]
        await super()._serve()

    async def callback_notify(self) -> None:
        """Called by uvicorn now and then. A worker without a master ends, wherever the kernel did not see to it."""
        await super().callback_notify()
        if os.getppid() != self.ppid:
            os.kill(os.getpid(), signal.SIGTERM)
