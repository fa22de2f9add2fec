"""Run the same tests again and again, each time in a fork of a process that has loaded all libraries.

``python -m mutants.forks SOCKET SECONDS MODULE ARGUMENTS…`` runs pytest with these arguments. If the tests pass, it
serves at this Unix socket: each connection gets the status of a further run as one byte. The module, those that import
it, and tests are loaded by each run anew. All else is loaded once, which saves most of the time of a run.
"""

from __future__ import annotations

import importlib
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final

import pytest

ASK: Final = "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);sys.exit((s.recv(1) or b'1')[0])"
"""The program that asks for a run, and ends with its status."""
BROKEN: Final = 70
READY: Final = "ready"
"""A line of the output, after that of the first run."""


@contextmanager
def serving(
    module: str, arguments: Sequence[str], tree: Path, env: Mapping[str, str], within_s: float
) -> Iterator[str]:
    """Serve runs of pytest with these arguments in a directory; yields the command that asks for one.

    Each run sees the module as it is then.

    Raises `RuntimeError` if the tests fail at the beginning, or if the process is gone at the end.
    """
    path = tree.with_name("runs")
    command = [sys.executable, "-m", "mutants.forks", str(path), str(within_s), module, *arguments]
    with subprocess.Popen(command, cwd=tree, env=env, stdin=PIPE, stdout=PIPE, text=True) as server:
        assert server.stdout is not None
        output = []
        for line in server.stdout:
            output.append(line)
            if line.strip() == READY:
                break
        else:
            raise RuntimeError("without a mutation the tests have to pass:\n" + "".join(output))
        try:
            yield shlex.join([sys.executable, "-I", "-S", "-c", ASK, str(path)])
        finally:
            ended = server.poll()
            server.kill()
        if ended is not None:
            raise RuntimeError(f"the process of the runs ended with status {ended}")


def fork(act: Callable[[], int], within_s: float) -> int:
    """The status of an act in a child process. One that takes longer is killed, which is a status, too."""
    child = os.fork()
    if not child:
        status = BROKEN
        try:
            status = act()
        finally:
            os._exit(status)
    watched = os.pidfd_open(child)
    try:
        if not select.select([watched], [], [], within_s)[0]:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(watched)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF


def run_and_list(arguments: Sequence[str], out: int) -> int:
    """Run the tests, and write the names of the modules that they have loaded, without tests and their support."""
    status = pytest.main([*arguments])
    tests = os.path.join(os.getcwd(), "tests")
    names = [
        name
        for name, module in [*sys.modules.items()]
        # Plugins are loaded by pytest itself, which rewrites their assertions.
        if not (getattr(module, "__file__", None) or tests).startswith(tests)
        and not name.startswith(("pytest_", "test_", "__"))
    ]
    os.write(out, "\n".join(names).encode())
    return int(status)


def run_silently(arguments: Sequence[str]) -> int:
    """Run the tests without output."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    return int(pytest.main([*arguments]))


def load_without(module: str, names: Sequence[str]) -> None:
    """Load modules, but neither this one nor those that import it."""
    blocked: dict[str, Any] = {module: None}
    # As an entry of the table, None is an error of each import.
    sys.modules.update(blocked)
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
    del sys.modules[module]


def main(path: str, seconds: str, module: str, *arguments: str) -> int:
    """Run the command."""
    within_s = float(seconds)
    with open(f"{path}.libraries", "w+b") as libraries:
        status = fork(lambda: run_and_list(arguments, libraries.fileno()), within_s)
        if status:
            return status
        load_without(module, Path(libraries.name).read_text().splitlines())
    # What was loaded here must not change the result.
    status = fork(lambda: run_silently(arguments), within_s)
    if status:
        return status
    # Bytecode of the first run is kept. That of a mutant could pass for another one's, with the same second and size.
    sys.dont_write_bytecode = True
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print(READY, flush=True)
        # The end of the input is that of the process that has asked for this one.
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(bytes([fork(lambda: run_silently(arguments), within_s)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
