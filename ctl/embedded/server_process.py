"""A server as a child process: start, readiness, restart, log, end. PostgreSQL and Valkey/Redis derive from it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from board.errors import LeaderboardError, ServerStartFailed
from board.process.backoff import Backoff
from board.process.beats import SILENCE_S, Silence
from board.process.children import Account, describe_exit, spawn, terminate
from ctl.embedded.account import describe_account
from ctl.embedded.data_directory import DataDirectory, bound_log, read_tail
from ctl.embedded.installations import Installation
from ctl.embedded.probe import Probe

log: Final = logging.getLogger(__name__)

Report = Callable[[str], None]

_POLL_SECONDS = 0.01
_SLOW_SECONDS = 5.0
_SOUND_SECONDS = 10.0
_CLEARED_SECONDS = 0.2
_LOG_AGAIN_SECONDS = 60.0


def make_environment() -> dict[str, str]:
    """A small environment: PG* variables and NOTIFY_SOCKET would change a server, and it needs no secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


class ServerProcess(ABC):
    """One server process with its log.

    ``stop_signals``: each signal, and the seconds to wait after it; the first is also sent when the parent dies.
    ``question``: bytes that the server answers at once on a new connection, also while it starts or is busy.
    """

    def __init__(
        self,
        installation: Installation,
        data: DataDirectory,
        account: Account | None,
        name: str,
        stop_signals: tuple[tuple[signal.Signals, float], tuple[signal.Signals, float]],
        question: bytes,
    ) -> None:
        self.installation = installation
        self.name = name
        self._log = data.log_path(name)
        self._stop_signals = stop_signals
        self._log_start = 0
        self._data = data
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff(0.2, 30.0)
        self._probe = Probe(question)
        self._silence = Silence(self._probe, 0)
        self._stood_still = False
        self._launched = 0.0
        self._due: float | None = None
        """When an ended server is started again; None while it runs or starts."""
        self._starting = False
        self._clearings = 0
        self._log_due = 0.0

    @abstractmethod
    def launch(self) -> None:
        """Start the program over the data that it has, without waiting for it. Raises ServerStartFailed or OSError."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the program that was launched answers."""

    @property
    @abstractmethod
    def socket_path(self) -> Path:
        """The socket on which the server answers."""

    @abstractmethod
    def clear(self, number: signal.Signals) -> bool:
        """Signal the processes that an ended server has left. Returns whether there was one."""

    @abstractmethod
    def note_failed_start(self) -> None:
        """The program that was launched again has ended before it was ready."""

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
        self.keep_log()
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

    def keep_running(self, now: float) -> None:
        """Start the server again, after a growing delay, if it has ended or stands still; keep its log within bounds.

        Call it often, on the thread that has started the server. It does not wait for the server, and raises nothing
        that a later call could mend.
        """
        self.keep_log()
        if self._due is not None:
            if now >= self._due:
                self._launch_again(now)
            return
        process = self._require_process()
        if process.poll() is not None:
            if now - self._launched > _SOUND_SECONDS:
                self._backoff.succeeded()
            delay = self._backoff.failed()
            log.error("%s; it is started again in %.1f s (log: %s)", self._describe_end(process), delay, self._log)
            self._due, self._clearings = now + delay, 0
            return
        if self._starting and self.is_ready():
            self._starting = False
            log.warning("%s answers again", self.installation.product)
        self._look(process, now)

    def _look(self, process: subprocess.Popen[bytes], now: float) -> None:
        """Kill the server if it stands still: it would not end by itself. The next call finds it ended."""
        self._probe.look(self.socket_path, now)
        if self._silence.too_long(now):
            self._stood_still = True
            process.kill()
            self._silence.begin(now)

    def _launch_again(self, now: float) -> None:
        """Clear what the ended server has left, then launch; otherwise set the time of the next try."""
        try:
            if self._starting:
                self._starting = False
                self.note_failed_start()
            if self.clear(signal.SIGKILL if self._clearings else signal.SIGQUIT):
                self._clearings += 1
                self._due = now + _CLEARED_SECONDS
                return
            self.launch()
        except (OSError, LeaderboardError) as error:
            delay = self._backoff.failed()
            log.error("%s cannot be started, again in %.1f s: %s", self.installation.product, delay, error)
            self._due = now + delay
            return
        self._launched, self._due, self._starting = now, None, True
        self._silence.begin(now)

    def _describe_end(self, process: subprocess.Popen[bytes]) -> str:
        product = self.installation.product
        if self._stood_still:
            self._stood_still = False
            return f"{product} (pid {process.pid}) gave no sign of life for {SILENCE_S:.0f} s and was killed"
        if process.returncode == -signal.SIGKILL:
            # Its log has nothing of it: the last lines there are of something else.
            return f"{product} was killed (SIGKILL), as the kernel does when memory runs out"
        return f"{product} ended with {describe_exit(process.returncode)}: {self.read_log_tail()}"

    def keep_log(self) -> None:
        """Keep the log within bounds. Where the disk has no room for that, warn once a minute and go on."""
        now = time.monotonic()
        if now < self._log_due:
            return
        try:
            bound_log(self._log)
        except OSError as error:
            log.warning("the log %s stays as long as it is for now: %s", self._log, error.strerror or error)
            self._log_due = now + _LOG_AGAIN_SECONDS

    def stop(self) -> None:
        """Stop the process with its stop signals; blocks until it has ended. Does nothing if it never started."""
        self._probe.close()
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
