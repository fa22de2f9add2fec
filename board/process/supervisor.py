"""Keeping processes running: start, restart what dies, stop all of them in order."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from board.process.backoff import Backoff
from board.process.children import kill_group, spawn
from board.process.stop import Stop

log: Final = logging.getLogger("supervisor")

SOUND_AFTER_S: Final = 10.0
LOOK_EVERY_S: Final = 0.2
FATAL: Final = frozenset({2, 4, 5})
"""Exit statuses that no restart can mend: wrong setting, wrong schema, port taken."""


class Post:
    """A place to be filled by a process, and the process that fills it now."""

    def __init__(self, name: str, argv: Sequence[str]) -> None:
        self.name: Final = name
        self.argv: Final = list(argv)
        self.backoff: Final = Backoff(0.2, 5.0)
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.due = 0.0


class Supervisor:
    """Fills posts with children that get SIGTERM when this process dies.

    `run` blocks until a stop is requested, or until a child ends with a status that no restart can mend; it returns
    that status, else 0. `watch` is called at every look and may raise to end the run; children are stopped either way.
    """

    def __init__(
        self,
        posts: Sequence[Post],
        stop: Stop,
        *,
        env: Mapping[str, str],
        grace_s: float,
        watch: Callable[[], None] = lambda: None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.posts: Final = list(posts)
        self.stop: Final = stop
        self.env: Final = dict(env)
        self.grace_s: Final = grace_s
        self.watch: Final = watch
        self.pass_fds: Final = pass_fds

    def run(self) -> int:
        """Keep every post filled until told to stop; then dismiss all, in the order given."""
        try:
            while not self.stop.requested:
                now = time.monotonic()
                for post in self.posts:
                    if code := self.look_after(post, now):
                        return code
                self.watch()
                self.stop.wait(LOOK_EVERY_S)
            return 0
        finally:
            self.dismiss()

    def look_after(self, post: Post, now: float) -> int:
        """Start, or restart after a delay that grows while the process keeps dying. Returns a fatal status, else 0."""
        if post.process is not None:
            code = post.process.poll()
            if code is None:
                return 0
            if code in FATAL:
                log.error("%s cannot run (exit status %d)", post.name, code)
                post.process = None
                return code
            if now - post.started > SOUND_AFTER_S:
                post.backoff.succeeded()
            delay = post.backoff.failed()
            why = f"signal {-code}" if code < 0 else f"exit status {code}"
            log.error("%s (pid %d) ended with %s, again in %.1f s", post.name, post.process.pid, why, delay)
            post.process, post.due = None, now + delay
        if now >= post.due:
            post.process = spawn(post.argv, env=self.env, pass_fds=self.pass_fds)
            post.started = now
        return 0

    def dismiss(self) -> None:
        """Tell all to stop, then wait for each; kill what exceeds the grace."""
        running = [post for post in self.posts if post.process is not None]
        for post in running:
            if post.process is not None:
                post.process.terminate()
        deadline = time.monotonic() + self.grace_s
        for post in running:
            if post.process is not None:
                # Told once; a second signal would mean "now" to some.
                try:
                    post.process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    log.error("%s has not stopped within %.0f s and is killed", post.name, self.grace_s)
                    kill_group(post.process)
                    post.process.wait()
                log.info("%s has stopped", post.name)
                post.process = None
