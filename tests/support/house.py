"""The whole system as a person starts it: `leaderboard run` over a data directory, with its own servers."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

from ctl.embedded import Prefer, leftovers
from support.embedded import SERVERS
from support.http import free_port
from support.processes import START_S, Command, answers, environment, run
from support.repository import REPOSITORY


class House:
    """A data directory, and the environment to run in it; `tree` has the sources."""

    def __init__(self, directory: Path, prefer: Prefer, tree: Path = REPOSITORY) -> None:
        self.tree = tree
        self.port = free_port()
        self.data = directory / "data"
        self.env = environment(
            LEADERBOARD_DATA_DIR=str(self.data),
            LEADERBOARD_SERVERS=prefer,
            LEADERBOARD_BIND=f"127.0.0.1:{self.port}",
            LEADERBOARD_RELAY_CHECK_MS="200",
            LEADERBOARD_WRITE_DEADLINE_MS="8000",
            LEADERBOARD_READ_DEADLINE_MS="5000",
            **{k: v for k in ("LEADERBOARD_IMPL",) if (v := os.environ.get(k))},
        )
        self.sockets = self.data / "runtime" / "sockets"

    def urls(self) -> dict[str, str]:
        """Where the embedded servers are, for commands beside the running house."""
        return {
            **self.env,
            "DATABASE_URL": f"postgresql://leaderboard@/leaderboard?host={self.sockets}",
            "REDIS_URL": f"unix://{self.sockets}/redis.sock?db=0",
        }

    def start(self, *options: str) -> Command:
        """`leaderboard run`, ready."""
        with ExitStack() as unless_ready:
            command = unless_ready.enter_context(Command(["run", *options], self.env, self.tree, forked=False))
            command.until(lambda: answers(self.port, "/readyz"), START_S)
            unless_ready.pop_all()
        return command

    def server(self, directory: str) -> int:
        """The process id of the server whose data is in this part of the data directory: `postgres` or `redis`."""
        (pid,) = leftovers.select_parents(leftovers.find(self.data / directory, SERVERS))
        return pid

    def verified(self) -> dict[str, object]:
        """The report of `leaderboard verify` on the running house; it must find both sides equal."""
        done = run(["verify", "--json", "--wait", "30"], self.urls())
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, object] = json.loads(done.stdout)
        assert report["equal"] is True
        return report
