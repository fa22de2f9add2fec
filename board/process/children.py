"""Child processes that never outlive their parent.

Every child gets its own session, so that Ctrl-C in the terminal reaches the supervisor alone, which then
stops its children in order. On Linux the kernel signals the child when the parent has ended or was killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

_PR_SET_PDEATHSIG = 1


class Account(msgspec.Struct, frozen=True):
    """A system user that a child runs as."""

    name: str
    uid: int
    gid: int

    def switch(self) -> dict[str, Any]:
        """The arguments of subprocess that make a child run as this user, without any other group."""
        # Never an empty list: Python 3.11 then leaves the groups of root in place.
        return {"user": self.uid, "group": self.gid, "extra_groups": [self.gid]}


Stream = int | IO[Any] | None


def spawn(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    user: Account | None = None,
    cwd: Path | str | None = None,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = None,
    stderr: Stream = None,
    umask: int = -1,
    pass_fds: Sequence[int] = (),
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in its own session that gets ``death_signal`` when this process ends.

    ``user`` (root only) switches groups, group and user before the program starts. The kernel ties the death
    signal to the *thread* that called (prctl(2), PR_SET_PDEATHSIG): call this on a thread that lives as long
    as the process. Raises OSError when the program cannot be started or the user not be switched.
    """
    return subprocess.Popen(
        [os.fspath(argument) for argument in argv],
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        umask=umask,
        pass_fds=pass_fds,
        start_new_session=True,
        preexec_fn=_between_fork_and_exec(death_signal),
        **(user.switch() if user is not None else {}),
    )


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Let the kernel send this process ``number`` when the thread that forked it ends (prctl(2)). Linux only."""
    if sys.platform == "linux":
        ctypes.PyDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def _between_fork_and_exec(death_signal: signal.Signals) -> Callable[[], None]:
    # subprocess calls this after the switch of user, which matters: a change of user clears the death signal.
    # PyDLL is loaded before the fork and keeps the interpreter lock: the child does nothing but the call.
    prctl: Any = None
    if sys.platform == "linux":
        prctl = ctypes.PyDLL(None).prctl
        prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    parent = os.getpid()

    def prepare() -> None:
        # A supervisor that waits for signals has them blocked, and a blocked mask survives exec.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if prctl is None:
            return
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the line above: no signal will come
            os._exit(1)

    return prepare


def terminate(
    process: subprocess.Popen[bytes],
    signal_number: signal.Signals = signal.SIGTERM,
    timeout: float = 10.0,
    *,
    then: signal.Signals = signal.SIGKILL,
    then_timeout: float = 10.0,
) -> int:
    """Ask a child of ``spawn`` to stop, insist with ``then`` after ``timeout`` seconds, at last kill it.

    Blocks until the child has ended; returns its return code (negative: the signal that ended it).
    """
    for number, patience in ((signal_number, timeout), (then, then_timeout)):
        if process.poll() is not None:
            break
        if number is signal.SIGKILL:
            break
        process.send_signal(number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    if process.poll() is None:
        kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a child of ``spawn`` and the rest of its process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def describe_exit(returncode: int) -> str:
    """``status 1`` or ``signal SIGKILL``."""
    if returncode >= 0:
        return f"status {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
