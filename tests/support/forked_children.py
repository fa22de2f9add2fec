"""The children of a forked command's supervisor, as forks of the command: it has imported most that they need."""

from __future__ import annotations

import atexit
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

from board.process import children, supervisor

MAINS: Final = {"relay": "relay.__main__", "service.telemetry.exporter": "service.telemetry.exporter"}
"""Words after ``python -m``, and the module whose `main` runs them. Others have an interpreter of their own."""
ROOM: Final = 512
"""Bytes for the words of a process."""


class ForkedChild:
    """A child, with the part of the interface of `subprocess.Popen` that supervisors need."""

    def __init__(self, pid: int) -> None:
        self.pid: Final = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, or None while it runs. As in `Popen`, 0 for one that another part has waited for."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = self.pid, 0
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit status. `subprocess.TimeoutExpired` after the time."""
        if self.poll() is None:
            descriptor = os.pidfd_open(self.pid)
            try:
                select.select([descriptor], [], [], timeout)
            finally:
                os.close(descriptor)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def fork_children(finish: Callable[[SystemExit], NoReturn]) -> None:
    """Let the supervisors of this process fork the children in `MAINS`; `finish` ends such a child."""

    def spawn(argv: Sequence[str], *, env: Mapping[str, str], pass_fds: Sequence[int]) -> object:
        if argv[:2] != [sys.executable, "-m"] or argv[2] not in MAINS:
            return children.spawn(argv, env=env, pass_fds=pass_fds)
        sys.stdout.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return ForkedChild(pid)
        begin_anew(argv, env, pass_fds, parent)
        finish(SystemExit(import_module(MAINS[argv[2]]).main([*argv[3:]])))

    supervisor.spawn = spawn  # type: ignore[assignment, attr-defined]


def begin_anew(argv: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int], parent: int) -> None:
    """Leave behind all that `board.process.children.spawn` and a new program would leave behind."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    children.end_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    atexit._clear()
    kept = {0, 1, 2, *pass_fds}
    for descriptor in {int(entry) for entry in os.listdir("/proc/self/fd")} - kept:
        try:
            os.close(descriptor)
        except OSError:
            continue  # it was that of the directory
    os.environ.clear()
    os.environ.update(env)
    show_words(argv)


def show_words(words: Sequence[str]) -> None:
    """Show these words as those of this process in /proc/PID/cmdline. It was started with `ROOM` for them."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # arg_start and arg_end of proc_pid_stat(5): fields 48 and 49.
    start, end = int(fields[45]), int(fields[46])
    text = b"\0".join(os.fsencode(word) for word in words) + b"\0"
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, min(len(text), end - start - 1))
