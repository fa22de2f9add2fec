"""Keeps child processes running: starts them, restarts those that end, stops all of them in order."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from board.process.backoff import Backoff
from board.process.children import kill_group, spawn
from board.process.stop import Stop

log: Final = logging.getLogger(__name__)

SOUND_AFTER_S: Final = 10.0
"""A child that has run this long counts as started well: its backoff begins anew."""
LOOK_EVERY_S: Final = 0.2
FATAL: Final = frozenset({2, 4, 5})
"""Exit statuses that no restart can cure: wrong setting, wrong schema, port taken."""


class ChildSpec(msgspec.Struct, frozen=True):
    """A child process to keep running: its name in log lines, and its command."""

    name: str
    argv: list[str]


class Child:
    """The process that runs a `ChildSpec` now, if any, and the earliest time of its next start (`due`)."""

    def __init__(self, spec: ChildSpec) -> None:
        self.name: Final = spec.name
        self.argv: Final = spec.argv
        self.backoff: Final = Backoff(0.2, 5.0)
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.due = 0.0


class Supervisor:
    """Runs children that get SIGTERM when this process dies.

    `run` blocks until a stop is requested, or until a child ends with a status that no restart can cure. It returns
    that status, else 0. `watch` is called every 0.2 seconds and may raise to end the run. The children are stopped
    in each case; one that exceeds `grace_s` seconds is killed.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        stop: Stop,
        *,
        env: Mapping[str, str],
        grace_s: float,
        watch: Callable[[], None] = lambda: None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.children: Final = [Child(spec) for spec in specs]
        self.stop: Final = stop
        self.env: Final = dict(env)
        self.grace_s: Final = grace_s
        self.watch: Final = watch
        self.pass_fds: Final = pass_fds

    def run(self) -> int:
        """Keep every child running until told to stop; then stop all, in the order given."""
        try:
            while not self.stop.requested:
                now = time.monotonic()
                for child in self.children:
                    if status := self.keep_running(child, now):
                        return status
                self.watch()
                self.stop.wait(LOOK_EVERY_S)
            return 0
        finally:
            self.stop_all()

    def keep_running(self, child: Child, now: float) -> int:
        """Start the child, or restart it after a growing delay. Returns a fatal exit status, else 0."""
        if child.process is not None:
            status = child.process.poll()
            if status is None:
                return 0
            if status in FATAL:
                log.error("%s cannot run (exit status %d)", child.name, status)
                child.process = None
                return status
            if now - child.started > SOUND_AFTER_S:
                child.backoff.succeeded()
            delay = child.backoff.failed()
            why = f"signal {-status}" if status < 0 else f"exit status {status}"
            log.error("%s (pid %d) ended with %s, again in %.1f s", child.name, child.process.pid, why, delay)
            child.process, child.due = None, now + delay
        if now >= child.due:
            child.process = spawn(child.argv, env=self.env, pass_fds=self.pass_fds)
            child.started = now
        return 0

    def stop_all(self) -> None:
        """Send SIGTERM to all, then wait for each; kill those that exceed the grace."""
        running = [(child, child.process) for child in self.children if child.process is not None]
        for _, process in running:
            process.terminate()
        deadline = time.monotonic() + self.grace_s
        for child, process in running:
            # One signal only: some programs take a second one as "now".
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("%s has not stopped within %.0f s and is killed", child.name, self.grace_s)
                kill_group(process)
                process.wait()
            log.info("%s has stopped", child.name)
            child.process = None
