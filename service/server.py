"""gunicorn, configured in code: what `leaderboard serve` runs."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from board.config.binds import address, is_local
from board.config.settings import Settings
from board.errors import InvalidSetting, PortTaken
from board.observe.log import everything_as_json, setup
from board.observe.metrics import Row, Sheet
from board.process.children import end_with_parent
from board.process.watchdog import Watchdog
from service.telemetry.exporter import ExporterSupervisor
from service.telemetry.metrics import REGISTRY

log: Final = logging.getLogger(__name__)

WORKER_SILENCE_S: Final = 30
FIRST_HANDED: Final = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class Server(BaseApplication):  # type: ignore[misc]
    """The gunicorn application around `service.app`. `run` blocks until the master is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings: Final = settings
        # A reload has old and new workers at the same time, several in a row even more.
        self.sheet: Final = Sheet.create(REGISTRY, 8 * settings.workers + 32)
        self.exporter: Final = ExporterSupervisor(settings, self.sheet)
        self.row = Row.private(REGISTRY)
        super().__init__()

    def load_config(self) -> None:
        s = self.settings
        options: dict[str, Any] = {
            "bind": s.binds,
            "workers": s.workers,
            "worker_class": "service.worker.Worker",
            "keepalive": s.idle_s,
            "timeout": WORKER_SILENCE_S,
            "graceful_timeout": s.shutdown_grace_s,
            "backlog": 4096,
            "loglevel": s.log_level,
            "proc_name": "leaderboard",
            "control_socket_disable": True,
            "max_requests": s.max_requests,
            "max_requests_jitter": s.max_requests // 10,
            "pre_fork": pre_fork,
            "post_fork": post_fork,
            "child_exit": child_exit,
        }
        if s.log_format == "json":
            options["logconfig_dict"] = everything_as_json(s.log_level)
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        """Called in each worker after the fork: nothing of the parent's connections or loops is shared."""
        from service.app import build_worker

        setup(self.settings.log_level, self.settings.log_format)
        return partial(build_worker, self.settings, self.row)

    def run(self) -> None:
        try:
            _Master(self).run()
        except RuntimeError as error:
            print(f"leaderboard: {error}", file=sys.stderr)
            sys.exit(1)


class _Master(Arbiter):  # type: ignore[misc]
    """gunicorn's master, which looks after the metrics' exporter as it does after its workers: about once a second."""

    def __init__(self, app: Server) -> None:
        self.watchdog: Final = Watchdog(os.environ)
        super().__init__(app)

    def manage_workers(self) -> None:
        super().manage_workers()
        self.app.exporter.look_after()
        self.watchdog.pat()


def pre_fork(arbiter: Any, worker: Any) -> None:
    """In the master: a row of the metrics for the worker."""
    worker.metrics_row = arbiter.app.sheet.take()
    if worker.metrics_row is None:
        log.error("no row is free in the metrics: what worker %s does is not counted", worker.age)


def child_exit(arbiter: Any, worker: Any) -> None:
    """In the master: the worker has ended; the next one goes on counting in its row."""
    if worker.metrics_row is not None:
        arbiter.app.sheet.release(worker.metrics_row)


def post_fork(arbiter: Any, worker: Any) -> None:
    """A worker whose master was killed would keep the address, and with it the next master, from being used."""
    end_with_parent()
    if os.getppid() != arbiter.pid:  # the master died before the line above
        os._exit(0)
    if worker.metrics_row is not None:
        arbiter.app.row = arbiter.app.sheet.row(worker.metrics_row)


def handed_over() -> int:
    """How many sockets systemd has opened for this process (sd_listen_fds(3)); gunicorn takes those and opens none."""
    return int(os.environ.get("LISTEN_FDS", "0")) if os.environ.get("LISTEN_PID") == str(os.getpid()) else 0


def check_bind(settings: Settings) -> None:
    """Raise `PortTaken` if nobody could listen on the addresses now. gunicorn itself would try for seconds.

    Raises `InvalidSetting` if systemd has opened another number of them than are set.
    """
    if opened := handed_over():
        if opened != len(settings.binds):
            raise InvalidSetting(f"systemd has opened {opened} sockets for {len(settings.binds)}: {settings.binds}")
        if settings.auth == "open" and settings.open_to_the_world != "yes":
            _check_local(range(FIRST_HANDED, FIRST_HANDED + opened))
        return
    for bind in settings.binds:
        tcp = address(bind)
        if tcp is not None:
            _check(bind, *tcp)


def _check_local(files: Iterable[int]) -> None:
    """Raise `InvalidSetting` unless only this machine reaches these sockets, whatever the settings say of them."""
    for file in files:
        with socket.socket(fileno=os.dup(file)) as opened:
            name = opened.getsockname()
            if opened.family != socket.AF_UNIX and not is_local(f"{name[0]}:{name[1]}"):
                raise InvalidSetting(
                    f"systemd has opened {name[0]}, where LEADERBOARD_AUTH=open would let anybody write; let it listen "
                    "on loopback, use keys, or set LEADERBOARD_OPEN_TO_THE_WORLD=yes"
                )


def _check(bind: str, host: str, port: int) -> None:
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"{bind} is taken by another process; choose another with LEADERBOARD_BIND") from error
        raise PortTaken(f"cannot listen on {bind}: {error.strerror or error}") from error
