"""Commands as forks of a process that has imported them: the start of an interpreter costs more than most commands.

``python -m support.forks FD`` is that process. A request on the socket `FD` has a command's arguments, environment and
directory, and three descriptors: for stdout, for stderr, and a socket for the process id and, later, the wait status.
"""

from __future__ import annotations

import atexit
import gc
import json
import mimetypes
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

from support.forked_children import ROOM, fork_children, show_words
from support.repository import REPOSITORY

REPLY: Final = struct.Struct("q")
"""A process id or a wait status."""
MOST: Final = 1 << 20
"""Bytes of a request."""
READ_LATER: Final = ("LEADERBOARD_", "DATABASE_URL", "REDIS_URL", "OTEL_", "PYTEST_")
"""Beginnings of names that nothing reads before a command runs, but for `AT_IMPORT`."""
AT_IMPORT: Final = "LEADERBOARD_IMPL"
IMPORTED_LATE: Final = (
    *("relay.actor", "relay.janitor", "relay.keeper", "service.server", "board.pg.migrations", "board.pg.sql"),
    *("encodings.idna", "gunicorn.glogging", "uvicorn.lifespan.on", "uvicorn.loops.uvloop", "uvloop"),
)
"""Modules that the commands import after their start."""


def base_of(env: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that counts before a command runs."""
    return {name: value for name, value in env.items() if not name.startswith(READ_LATER)}


BASE: Final = base_of({**os.environ, "COLUMNS": "200"})
"""That of most commands, and of the process that forks them."""


class Forks:
    """The process."""

    def __init__(self, impl: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MOST)
        with theirs:
            self._process: Final = subprocess.Popen(
                # The blanks are room for the words of the commands.
                [sys.executable, "-m", "support.forks", str(theirs.fileno()), " " * ROOM],
                env={**BASE, AT_IMPORT: impl, "PYTHONPATH": f"{REPOSITORY / 'tests'}:{BASE.get('PYTHONPATH', '')}"},
                cwd=REPOSITORY,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End the process; commands that still run go on."""
        self._socket.close()
        self._process.wait(30)

    def start(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, stdout: int, stderr: int
    ) -> ForkedProcess:
        """Start a command in a directory, with these descriptors."""
        request = json.dumps([list(arguments), dict(env), str(cwd)]).encode()
        assert len(request) <= MOST
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._socket, [request], [stdout, stderr, theirs.fileno()])
        return ForkedProcess(arguments, mine)

    def run(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, within_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in a directory. After the time it is killed: `subprocess.TimeoutExpired`."""
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            process = self.start(arguments, env, cwd, stdout.fileno(), stderr.fileno())
            try:
                code = process.wait(within_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            texts = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (stdout, stderr)]
        return subprocess.CompletedProcess([*arguments], code, *texts)


class ForkedProcess:
    """A command's process, with the part of the interface of `subprocess.Popen` that `Command` needs."""

    def __init__(self, arguments: Sequence[str], told: socket.socket) -> None:
        self._arguments: Final = arguments
        self._told: Final = told
        (self.pid,) = REPLY.unpack(told.recv(REPLY.size))
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit status, or the negative number of a signal."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                (status,) = REPLY.unpack(self._told.recv(REPLY.size))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired([*self._arguments], timeout or 0) from None
            self._told.close()
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


@cache
def forks_with(impl: str) -> Forks:
    """The process of the commands with these kernels."""
    return Forks(impl)


def forks_for(env: Mapping[str, str]) -> Forks:
    """The process of the commands with this environment."""
    return forks_with(env.get(AT_IMPORT) or "auto")


def can_be_forked(env: Mapping[str, str]) -> bool:
    """Whether a command with this environment may begin there: what it has imported would be the same."""
    return base_of(env) == BASE


def serve(requests: socket.socket) -> list[str] | None:
    """Fork for each request. Returns in the fork with the command's arguments, or None when the requests have ended."""
    while True:
        text, descriptors, _, _ = socket.recv_fds(requests, MOST, 3)
        if not text:
            return None
        arguments, env, cwd = json.loads(text)
        if os.fork() == 0:
            requests.close()
            if run_and_tell(descriptors):
                os.chdir(cwd)
                os.environ.clear()
                os.environ.update(env)
                return list(arguments)
        for descriptor in descriptors:
            os.close(descriptor)
        reap()


def run_and_tell(descriptors: list[int]) -> bool:
    """Fork once more: True in the command's process; the other one tells its id and its status, and ends."""
    stdout, stderr, told = descriptors
    pid = os.fork()
    if pid:
        os.close(stdout)
        os.close(stderr)
        os.write(told, REPLY.pack(pid))
        _, status = os.waitpid(pid, 0)
        os.write(told, REPLY.pack(status))
        os._exit(0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for descriptor in descriptors:
        os.close(descriptor)
    return True


def warm_up(make_parser: Callable[[], object]) -> None:
    """Make what every command would make for itself, and always the same."""
    from board.config.settings import setting_specs
    from board.pg.queries import queries
    from service.http.openapi import make_document

    for make in (make_parser, setting_specs, queries, mimetypes.init):
        make()
    for guarded in (True, False):
        make_document(guarded=guarded)


def reap() -> None:
    """Forget the processes that have told a status."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def main(descriptor: int) -> NoReturn:
    """Import the commands, then fork; in a fork, run one."""
    from ctl.main import entry, make_parser

    for late in IMPORTED_LATE:
        import_module(late)
    warm_up(make_parser)
    fork_children(finish)
    requests = socket.socket(fileno=descriptor)
    # The collector would write to the pages that all forks share.
    gc.collect()
    gc.freeze()
    arguments = serve(requests)
    if arguments is None:
        sys.exit()
    sys.argv[1:] = arguments
    show_words([sys.executable, "-m", "ctl", *arguments])
    try:
        entry()
    except SystemExit as end:
        finish(end)


def finish(end: SystemExit) -> NoReturn:
    """End as the interpreter does, but without taking all modules to pieces, which takes longer than most commands."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    assert end.code is None or isinstance(end.code, int)
    os._exit(end.code or 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
