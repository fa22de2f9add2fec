"""gunicorn, configured in code, for `leaderboard serve`."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import gunicorn
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import KNOWN_SETTINGS

from board.config.binds import address, is_local
from board.config.settings import Settings
from board.errors import InvalidSetting, PortTaken
from board.observe.log import everything_as_json, setup
from board.observe.metrics import Row, Sheet
from board.process.beats import Beat
from board.process.children import end_with_parent
from board.process.watchdog import Watchdog
from service.telemetry.exporter import ExporterSupervisor
from service.telemetry.metrics import REGISTRY
from service.telemetry.traffic_history import TrafficHistory
from service.worker import STOP_SIGNALS

log: Final = logging.getLogger(__name__)

WORKER_SILENCE_S: Final = 30
FIRST_INHERITED: Final = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class Server(BaseApplication):  # type: ignore[misc]
    """The gunicorn application around `service.app`. `run` blocks until the master is told to stop.

    A `quiet` one does not log that it starts and stops as it should. Raises `InvalidSetting` where the installed
    gunicorn lacks an option that is set.
    """

    def __init__(self, settings: Settings, *, quiet: bool = False) -> None:
        self.settings: Final = settings
        # During a reload, old and new workers run at the same time; during several reloads in a row, even more.
        self.sheet: Final = Sheet.create(REGISTRY, 8 * settings.workers + 32)
        self.exporter: Final = ExporterSupervisor(settings, self.sheet)
        self.history: Final = TrafficHistory(self.sheet)
        self.row = Row.private(REGISTRY)
        self.options: Final = make_options(settings, quiet=quiet)
        # Here, not in `load_config`: gunicorn would print the error in its own form and end the process.
        check_options(self.options)
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        """Called in each worker after the fork: nothing of the parent's connections or loops is shared."""
        from service.app import build_worker

        setup(self.settings.log_level, self.settings.log_format)
        return partial(build_worker, self.settings, self.row, self.history)

    def run(self) -> None:
        try:
            _Master(self).run()
        except RuntimeError as error:
            print(f"leaderboard: {error}", file=sys.stderr)
            sys.exit(1)


def make_options(s: Settings, *, quiet: bool = False) -> dict[str, Any]:
    """gunicorn's options for our settings, by gunicorn's names."""
    options: dict[str, Any] = {
        "bind": s.binds,
        "workers": s.workers,
        "worker_class": "service.worker.Worker",
        "keepalive": s.idle_s,
        "timeout": WORKER_SILENCE_S,
        "graceful_timeout": s.shutdown_grace_s,
        "backlog": 4096,
        "loglevel": "warning" if quiet and s.log_level == "info" else s.log_level,
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
    return options


def check_options(options: Iterable[str]) -> None:
    """Raise `InvalidSetting` that names the options the installed gunicorn does not know.

    gunicorn renames and removes options between releases. Without one of them the server would start, and
    behave differently.
    """
    if unknown := sorted(set(options) - {setting.name for setting in KNOWN_SETTINGS}):
        raise InvalidSetting(
            f"gunicorn {gunicorn.__version__} has no option {', '.join(unknown)}; install the one of locks/runtime.txt"
        )


class _Master(Arbiter):  # type: ignore[misc]
    """gunicorn's master. About once a second it checks its workers, and with them the exporter of the metrics.

    It also takes the samples of the traffic.
    """

    def __init__(self, app: Server) -> None:
        self.watchdog: Final = Watchdog(os.environ)
        self.beat: Final = Beat.inherit(os.environ)
        super().__init__(app)

    def spawn_worker(self) -> int:
        """Fork a worker; returns its process id.

        A signal waits in the worker until it has handlers of its own (`Worker.init_signals`). Those that it inherits
        would swallow the signal, which is not sent again: the master would wait until it may kill the worker.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            pid: int = super().spawn_worker()
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def manage_workers(self) -> None:
        self.beat.give()
        super().manage_workers()
        self.app.exporter.keep_running()
        self.app.history.keep_sampling()
        self.watchdog.pat()


def pre_fork(arbiter: Any, worker: Any) -> None:
    """In the master: take a row of the metrics for the worker."""
    worker.metrics_row = arbiter.app.sheet.take()
    if worker.metrics_row is None:
        log.error("the metrics have no free row: worker %s is not counted", worker.age)


def child_exit(arbiter: Any, worker: Any) -> None:
    """In the master: the worker has ended. The next worker continues its row of the metrics."""
    if worker.metrics_row is not None:
        arbiter.app.sheet.release(worker.metrics_row)


def post_fork(arbiter: Any, worker: Any) -> None:
    """In the worker: end with the master. A worker that outlived it would hold the address against a new master."""
    end_with_parent()
    if os.getppid() != arbiter.pid:  # the master died before the line above
        os._exit(0)
    if worker.metrics_row is not None:
        arbiter.app.row = arbiter.app.sheet.row(worker.metrics_row)


def count_inherited_sockets() -> int:
    """The number of sockets that systemd opened for this process (sd_listen_fds(3)). gunicorn then opens none."""
    return int(os.environ.get("LISTEN_FDS", "0")) if os.environ.get("LISTEN_PID") == str(os.getpid()) else 0


def check_bind(settings: Settings) -> None:
    """Raise `PortTaken` if an address cannot be listened on now. gunicorn itself would retry for seconds.

    Raises `InvalidSetting` if systemd opened a different number of sockets than there are addresses in the settings.
    """
    if opened := count_inherited_sockets():
        if opened != len(settings.binds):
            raise InvalidSetting(f"systemd has opened {opened} sockets for {len(settings.binds)}: {settings.binds}")
        if settings.auth == "open" and settings.open_to_the_world != "yes":
            _check_local(range(FIRST_INHERITED, FIRST_INHERITED + opened))
        return
    for bind in settings.binds:
        tcp = address(bind)
        if tcp is not None:
            _check(bind, *tcp)


def _check_local(files: Iterable[int]) -> None:
    """Raise `InvalidSetting` unless only this machine reaches these sockets. Their own addresses count."""
    for file in files:
        with socket.socket(fileno=os.dup(file)) as opened:
            name = opened.getsockname()
            if opened.family != socket.AF_UNIX and not is_local(f"{name[0]}:{name[1]}"):
                raise InvalidSetting(
                    f"systemd has opened {name[0]}, where LEADERBOARD_AUTH=open would let every client write; let it "
                    "listen on loopback, use keys, or set LEADERBOARD_OPEN_TO_THE_WORLD=yes"
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
