"""The pool: starts relays and the janitor, restarts what dies, stops all of them in order."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from typing import Final

from board.backoff import Backoff
from board.children import spawn, terminate
from board.settings import Settings, environment
from board.stop import Stop

log: Final = logging.getLogger("relay.supervisor")

SOUND_AFTER_S: Final = 10.0


class _Post:
    """A place in the pool, and the process that fills it now."""

    def __init__(self, name: str, argv: list[str]) -> None:
        self.name: Final = name
        self.argv: Final = argv
        self.backoff: Final = Backoff(0.2, 5.0)
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.due = 0.0


class Supervisor:
    """Runs `processes` relays and one janitor as children. Children get SIGTERM when this process dies."""

    def __init__(self, settings: Settings, processes: int, stop: Stop) -> None:
        self.settings: Final = settings
        self.stop: Final = stop
        self.posts: Final = [
            *(_Post(f"relay {n + 1}", [sys.executable, "-m", "relay", "carry"]) for n in range(processes)),
            _Post("janitor", [sys.executable, "-m", "relay", "janitor"]),
        ]

    def run(self) -> None:
        """Keep every post filled until a stop is requested, then wait for all to finish their batch."""
        log.info("starting %d relays", len(self.posts) - 1)
        while not self.stop.requested:
            now = time.monotonic()
            for post in self.posts:
                self.look_after(post, now)
            self.stop.wait(0.2)
        self.dismiss()

    def look_after(self, post: _Post, now: float) -> None:
        """Start, or restart after a delay that grows while the process keeps dying."""
        if post.process is not None:
            code = post.process.poll()
            if code is None:
                return
            if now - post.started > SOUND_AFTER_S:
                post.backoff.succeeded()
            delay = post.backoff.failed()
            why = f"signal {-code}" if code < 0 else f"exit status {code}"
            log.error("%s (pid %d) ended with %s, again in %.1f s", post.name, post.process.pid, why, delay)
            post.process, post.due = None, now + delay
        if now >= post.due:
            post.process = spawn(post.argv, env={**os.environ, **environment(self.settings)})
            post.started = now

    def dismiss(self) -> None:
        """Tell all to stop, then wait for each; kill what exceeds the grace."""
        running = [post.process for post in self.posts if post.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self.settings.shutdown_grace_s
        for process in running:
            terminate(process, timeout=max(0.1, deadline - time.monotonic()))
        log.info("all relays have stopped")
