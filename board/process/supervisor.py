"""Keeps child processes running: starts them, restarts those that end or stand still, stops all of them in order."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from board.process.backoff import Backoff
from board.process.beats import SILENCE_S, Beats, Silence
from board.process.children import kill_group, spawn
from board.process.stop import Stop

log: Final = logging.getLogger(__name__)

SOUND_AFTER_S: Final = 10.0
"""A child that has run this long counts as started well: its backoff begins anew."""
LOOK_EVERY_S: Final = 0.2
FATAL: Final = frozenset({2, 4, 5})
"""Exit statuses of a first start that no restart can cure: wrong setting, wrong schema, port taken."""


class ChildSpec(msgspec.Struct, frozen=True):
    """A child process to keep running: its name in log lines, its command, and the longest silence it may keep."""

    name: str
    argv: list[str]
    silence_s: float = SILENCE_S


class Child:
    """The process that runs a `ChildSpec` now, if any, and the earliest time of its next start (`due`).

    `number` is its counter in `beats`. A status in `fatal` that ends the first process, before any sign of life, is
    returned; every other end leads to a new start.
    """

    def __init__(
        self,
        spec: ChildSpec,
        beats: Beats,
        number: int,
        *,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        fatal: frozenset[int] = frozenset(),
    ) -> None:
        self.name: Final = spec.name
        self.argv: Final = spec.argv
        self.env: Final = {**env, **beats.environment(number)}
        self.pass_fds: Final = (*pass_fds, beats.fd)
        self.fatal: Final = fatal
        self.silence_s: Final = spec.silence_s
        self.silence: Final = Silence(beats, number, spec.silence_s)
        self.backoff: Final = Backoff(0.2, 5.0)
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.started = 0.0
        self.due = 0.0

    def keep_running(self, now: float) -> int:
        """Start the process, or restart it after a growing delay. Returns a fatal exit status, else 0."""
        if self.process is not None:
            status = self.process.poll()
            if status is None:
                self.look(self.process, now)
                return 0
            # Later on the same status can be cured: another process has taken the port for a moment.
            if status in self.fatal and self.starts == 1 and not self.silence.heard:
                log.error("%s cannot run (exit status %d)", self.name, status)
                self.process = None
                return status
            if now - self.started > SOUND_AFTER_S:
                self.backoff.succeeded()
            delay = self.backoff.failed()
            log.error("%s (pid %d) ended%s, again in %.1f s", self.name, self.process.pid, describe(status), delay)
            self.process, self.due = None, now + delay
        if now >= self.due:
            self.start(now)
        return 0

    def look(self, process: subprocess.Popen[bytes], now: float) -> None:
        """Kill the process if it stands still. It ends at once, even if it is stopped."""
        if self.silence.too_long(now):
            bound = self.silence_s if self.silence.heard else self.silence.start_most_s
            log.error("%s (pid %d) has given no sign of life for %.0f s and is killed", self.name, process.pid, bound)
            # Its own children, if any, end in order: they have a death signal.
            process.kill()
            self.silence.begin(now)

    def start(self, now: float) -> None:
        """Start a process; where the system has no room for one, try again later."""
        self.silence.begin(now)
        try:
            self.process = spawn(self.argv, env=self.env, pass_fds=self.pass_fds)
        except (OSError, subprocess.SubprocessError) as error:
            delay = self.backoff.failed()
            log.error("%s cannot be started, again in %.1f s: %s", self.name, delay, error)
            self.due = now + delay
            return
        self.starts += 1
        self.started = now


def describe(status: int) -> str:
    """How a process ended, as the rest of a clause. Status 0 may be that of a child which others have waited for."""
    if not status:
        return ""
    return f" with signal {-status}" if status < 0 else f" with exit status {status}"


class Supervisor:
    """Runs children that get SIGTERM when this process dies.

    `run` blocks until a stop is requested, or until the first process of a child ends with a status that no restart can
    cure. It returns that status, else 0. `watch` is called every 0.2 seconds and may raise to end the run. The children
    are stopped in each case; one that exceeds `grace_s` seconds is killed.
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
        self.beats: Final = Beats(len(specs))
        self.children: Final = [
            Child(spec, self.beats, number, env=env, pass_fds=pass_fds, fatal=FATAL)
            for number, spec in enumerate(specs)
        ]
        self.stop: Final = stop
        self.grace_s: Final = grace_s
        self.watch: Final = watch

    def run(self) -> int:
        """Keep every child running until told to stop; then stop all, in the order given."""
        try:
            while not self.stop.requested:
                now = time.monotonic()
                for child in self.children:
                    if status := child.keep_running(now):
                        return status
                self.watch()
                self.stop.wait(LOOK_EVERY_S)
            return 0
        finally:
            self.stop_all()

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
