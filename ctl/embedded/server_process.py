"""What PostgreSQL and Valkey/Redis have in common as child processes."""

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
from ctl.embedded.account import name_of
from ctl.embedded.data_directory import DataDirectory, bound_log, tail
from ctl.embedded.installations import Installation

Report = Callable[[str], None]

_POLL_SECONDS = 0.01
_SLOW_SECONDS = 5.0


def environment() -> dict[str, str]:
    """A small environment: PG* variables and NOTIFY_SOCKET would change a server, and secrets stay here."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


class Server:
    """One running server process with its log.

    ``stop_signals``: each signal with its patience in seconds; the first is also sent when the parent dies.
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
        """Start the program in ``directory``, with ``env`` besides what all servers get; raises ServerStartFailed when
        it cannot be executed.

        The working directory is how a later run finds what is left of this one.
        """
        bound_log(self._log)
        descriptor = self._data.open_log(self.name)
        self._log_start = os.fstat(descriptor).st_size
        try:
            self._process = spawn(
                argv,
                env={**environment(), **(env or {})},
                user=self._account,
                cwd=directory,
                stdin=stdin,
                stdout=descriptor,
                stderr=descriptor,
                umask=0o077,
                death_signal=self._stop_signals[0][0],
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerStartFailed(f"{argv[0]} cannot be started as {name_of(self._account)}: {error}") from error
        finally:
            os.close(descriptor)
        return self._process

    def wait_until(self, ready: Callable[[], bool], report: Report, timeout: float) -> None:
        """Block until ``ready()``; raises ServerStartFailed when the process ends first or time runs out."""
        process = self._require_process()
        started = time.monotonic()
        told = False
        while not ready():
            if process.poll() is not None:
                self.fail(f"ended with {describe_exit(process.returncode)} while starting")
            waited = time.monotonic() - started
            if waited > timeout:
                self.fail(f"is not ready after {timeout:.0f} seconds")
            if waited > _SLOW_SECONDS and not told:
                told = True
                report(f"{self.installation.product} is still starting; after a crash this takes a while")
            time.sleep(_POLL_SECONDS)

    def fail(self, what: str) -> NoReturn:
        """Raise ServerStartFailed with the end of the log."""
        end = self.log_tail()
        raise ServerStartFailed(
            f"{self.installation.product} {what}" + (f": {end}" if end else "") + f" (log: {self._log})"
        )

    def log_tail(self, lines: int = 4) -> str:
        """What the present process wrote to its log last, as one line."""
        return tail(self._log, self._log_start, lines)

    def check(self) -> None:
        """Raise ChildFailed when the process has ended; keeps its log within bounds otherwise."""
        process = self._require_process()
        if process.poll() is not None:
            raise ChildFailed(
                f"{self.installation.product} ended with {describe_exit(process.returncode)}:"
                f" {self.log_tail()} (log: {self._log})"
            )
        bound_log(self._log)

    def stop(self) -> None:
        """Stop the process in order; blocks until it has ended. Nothing happens when it never started."""
        if self._process is not None:
            (first, patience), (then, then_patience) = self._stop_signals
            terminate(self._process, first, patience, then=then, then_timeout=then_patience)

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
