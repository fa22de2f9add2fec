"""A server as a child process: start, readiness, log, end. PostgreSQL and Valkey/Redis derive from it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from board.errors import ChildFailed, ServerStartFailed
from board.process.children import Account, spawn, terminate
from ctl.embedded.account import describe_account
from ctl.embedded.data_directory import DataDirectory, bound_log, read_tail
from ctl.embedded.installations import Installation

Report = Callable[[str], None]

_POLL_SECONDS = 0.01
_SLOW_SECONDS = 5.0


def make_environment() -> dict[str, str]:
    """A small environment: PG* variables and NOTIFY_SOCKET would change a server, and it needs no secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


class ServerProcess:
    """One server process with its log.

    ``stop_signals``: each signal, and the seconds to wait after it; the first is also sent when the parent dies.
    """

    def __init__(
        self,
        installation: Installation,
        data: DataDirectory,
        account: Account | None,
        name: str,
        stop_signals: tuple[tuple[signal.Signals, float], tuple[signal.Signals, float]],
    ) -> None:
        self.installation = installation
        self.name = name
        self._log = data.log_path(name)
        self._stop_signals = stop_signals
        self._log_start = 0
        self._data = data
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(
        self,
        argv: Sequence[str | Path],
        directory: Path,
        stdin: int = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the program in ``directory``, with ``env`` beside the environment of all servers.

        A later run finds a leftover process by this directory. Raises ServerStartFailed if the program cannot be
        executed.
        """
        bound_log(self._log)
        descriptor = self._data.open_log(self.name)
        self._log_start = os.fstat(descriptor).st_size
        try:
            self._process = spawn(
                argv,
                env={**make_environment(), **(env or {})},
                user=self._account,
                cwd=directory,
                stdin=stdin,
                stdout=descriptor,
                stderr=descriptor,
                umask=0o077,
                death_signal=self._stop_signals[0][0],
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerStartFailed(
                f"{argv[0]} cannot be started as {describe_account(self._account)}: {error}"
            ) from error
        finally:
            os.close(descriptor)
        return self._process

    def wait_until(self, ready: Callable[[], bool], report: Report, timeout: float) -> None:
        """Block until ``ready()``. Raises ServerStartFailed if the process ends first, or after ``timeout`` seconds."""
        process = self._require_process()
        started = time.monotonic()
        reported = False
        while not ready():
            if process.poll() is not None:
                self.fail(f"ended with {describe_exit(process.returncode)} while starting")
            waited = time.monotonic() - started
            if waited > timeout:
                self.fail(f"is not ready after {timeout:.0f} seconds")
            if waited > _SLOW_SECONDS and not reported:
                reported = True
                report(f"{self.installation.product} is still starting; after a crash this takes a while")
            time.sleep(_POLL_SECONDS)

    def fail(self, failure: str) -> NoReturn:
        """Raise ServerStartFailed: product, ``failure`` (a verb phrase) and the end of the log."""
        end = self.read_log_tail()
        raise ServerStartFailed(
            f"{self.installation.product} {failure}" + (f": {end}" if end else "") + f" (log: {self._log})"
        )

    def read_log_tail(self, lines: int = 4) -> str:
        """The last lines that the present process wrote to its log, joined into one."""
        return read_tail(self._log, self._log_start, lines)

    def check(self) -> None:
        """Raise ChildFailed when the process has ended; else keep its log within bounds."""
        process = self._require_process()
        if process.poll() is not None:
            raise ChildFailed(
                f"{self.installation.product} ended with {describe_exit(process.returncode)}:"
                f" {self.read_log_tail()} (log: {self._log})"
            )
        bound_log(self._log)

    def stop(self) -> None:
        """Stop the process with its stop signals; blocks until it has ended. Does nothing if it never started."""
        if self._process is not None:
            (first, timeout), (then, then_timeout) = self._stop_signals
            terminate(self._process, first, timeout, then=then, then_timeout=then_timeout)

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._require_process().pid

    def _require_process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerStartFailed(f"{self.installation.product} has not been started")
        return self._process


def describe_exit(returncode: int) -> str:
    """``status 1`` or ``signal SIGKILL``."""
    if returncode >= 0:
        return f"status {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
