"""The real command in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from support.forks import ForkedProcess, can_be_forked, forks_for
from support.http import Http, bearer, free_port
from support.repository import REPOSITORY
from support.waiting import PATIENCE_S, eventually
from support.world import World

CALM: Final = {"LEADERBOARD_RELAY_IDLE_MS": "500", "LEADERBOARD_RELAY_CHECK_MS": "2000"}
"""For relays that are there for a whole run of tests: they work as soon as they are poked, and look seldom."""
START_S: Final = 120.0
"""For a start: beside other work it may take half a minute. A process that ends instead fails at once."""
TAIL: Final = 60
"""Lines of a process's output in the message of a failure."""


class Command:
    """A running `leaderboard …`; its output goes to a file that a failing test can show.

    `tree` has its sources; `through` is a command that runs the one after it, such as `setpriv`. A `forked` one has no
    interpreter of its own where it can do without: that takes longer to start than the command.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        tree: Path = REPOSITORY,
        *,
        through: Sequence[str] = (),
        forked: bool = True,
    ) -> None:
        self.output: Final = tempfile.NamedTemporaryFile(prefix="lb-test-", suffix=".log")  # noqa: SIM115
        self.words: Final = [*through, sys.executable, "-m", "ctl", *arguments]
        self.process: subprocess.Popen[bytes] | ForkedProcess
        if forked and not through and tree == REPOSITORY and can_be_forked(env):
            output = self.output.fileno()
            self.process = forks_for(env).start(arguments, env, tree, output, output)
        else:
            self.process = subprocess.Popen(
                self.words,
                env=dict(env),
                cwd=tree,
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.output,
            )

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            print(f"--- output of {' '.join(self.words)}\n{self.text()}")
        self.output.close()

    def text(self) -> str:
        """Everything it has written so far."""
        return Path(self.output.name).read_text(errors="replace")

    def lines(self) -> list[str]:
        """The whole lines among it."""
        return self.text().rpartition("\n")[0].splitlines()

    def tail(self) -> str:
        """The last lines it has written to either stream, for the message of a failure."""
        lines = self.text().splitlines()[-TAIL:]
        return "\n".join([f"\n--- the end of the output of {' '.join(self.words[2:])}:", *lines])

    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = 2 * PATIENCE_S) -> int:
        """Signal it and wait for its end; the exit status."""
        if self.running():
            self.process.send_signal(number)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def until(self, look: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
        """Wait for something while it runs; fails at once when it ends before, and shows what it has written."""

        def careful() -> Any:
            assert self.running(), f"ended with {self.process.returncode}{self.tail()}"
            return look()

        return eventually(careful, within_s, tell=self.tail)


class Api:
    """The real API process of a world."""

    def __init__(self, world: World, command: Command, port: int) -> None:
        self.world: Final = world
        self.command: Final = command
        self.port: Final = port

    def client(self, timeout_s: float = 20.0) -> Http:
        """A connection of its own."""
        return Http(self.port, timeout_s)

    def until_known(self, key: str, *clients: Http) -> None:
        """Wait until a key that was made while the server runs is known: workers look for new ones twice a second.

        Each worker learns it for itself: of several, only those are known to know it that answer these connections.
        """
        if not clients:
            with self.client() as http:
                return self.until_known(key, http)
        for http in clients:
            self.command.until(partial(knows, http, key))


def knows(http: Http, key: str) -> bool:
    """Whether the worker of a connection knows a key."""
    return http.ask("GET", "/v1/keys", None, bearer(key)).status != 401


def answers(port: int, path: str = "/livez", status: int = 200) -> bool:
    """Whether a server gives this status on the port."""
    try:
        with Http(port, 10.0) as http:
            return http.get(path).status == status
    except OSError:
        return False


@contextmanager
def serving(world: World, ready: str = "/livez", *, tree: Path = REPOSITORY, **settings: str) -> Iterator[Api]:
    """`leaderboard serve` in a world, on a free port, with one worker unless told otherwise; `tree` has its sources."""
    port = free_port()
    env = world.environment(**{"LEADERBOARD_WORKERS": "1", **settings}, LEADERBOARD_BIND=f"127.0.0.1:{port}")
    with Command(["serve"], env, tree) as command:
        command.until(lambda: answers(port, ready), START_S)
        yield Api(world, command, port)


@contextmanager
def relaying(world: World, processes: int = 1, **settings: str) -> Iterator[Command]:
    """`leaderboard relay` in a world."""
    words = ["relay", "--processes", str(processes)]
    with Command(words, world.environment(**settings)) as command:
        command.until(lambda: command.text().count("relay is up") >= processes, START_S)
        yield command


def leaderboard(world: World, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return run([*arguments], world.environment(**settings))


def run(
    arguments: Sequence[str],
    env: Mapping[str, str],
    within_s: float = START_S,
    tree: Path = REPOSITORY,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `leaderboard …` to its end, in `cwd` or in `tree`, where its sources are.

    The sources under test are imported once for many commands (`support.forks`); others have an interpreter each.
    """
    if tree == REPOSITORY and can_be_forked(env):
        return forks_for(env).run(arguments, env, cwd or tree, within_s)
    assert cwd is None or tree == REPOSITORY
    return subprocess.run(
        [sys.executable, "-m", "ctl", *arguments],
        env=dict(env) if cwd is None else {**env, "PYTHONPATH": str(tree)},
        cwd=cwd or tree,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within_s,
    )


def resident(pid: int) -> int:
    """Bytes of memory a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def children_of(pid: int) -> set[int]:
    """Every living process below this one (Linux)."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def alive(pids: set[int]) -> set[int]:
    """Those of the processes that are neither gone nor zombies waiting for their parent."""
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found.add(pid)
    return found


def gone(pids: set[int]) -> None:
    """Wait until all these processes have ended: those of a killed command end by themselves, a little later."""
    eventually(lambda: not alive(pids), 20)


def commandline(pid: int) -> bytes:
    """How a process was called, its words ended by NUL; empty if it has gone or waits for its parent."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def environment(**more: str) -> dict[str, str]:
    """Ours, without any setting of the leaderboard."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("LEADERBOARD_") and k not in ("DATABASE_URL", "REDIS_URL")
    }
    # Without a data directory of its own, a command would find what a developer runs on this machine.
    return {**kept, "COLUMNS": "200", "LEADERBOARD_DATA_DIR": "/nonexistent", **more}
