"""Faults of the servers that `leaderboard run` starts itself: it outlives both, and starts them again."""

from __future__ import annotations

import random
import signal
import time
from contextlib import ExitStack
from typing import Final

import psycopg
import redis
from support.house import House
from support.processes import alive
from support.waiting import eventually

from faults.generate import Generator
from faults.injections import LOST, fault, moment
from faults.rig import Rig, kill, prefer

BACK_WITHIN_S: Final = 60.0


class RunRig:
    """`leaderboard run` on a data directory of its own, beside the rig. Nobody restarts it: it must not end."""

    def __init__(self, rig: Rig, stack: ExitStack) -> None:
        directory = rig.root / "run"
        directory.mkdir(mode=0o711)
        house = House(directory, prefer(), rig.tree)
        ours = rig.environment("api")
        kept = ("PYTHONPATH", "LEADERBOARD_WORKERS", "LEADERBOARD_RELAY_CHECK_MS", "LEADERBOARD_RELAY_SAMPLE_MS")
        house.env |= {name: ours[name] for name in kept} | rig.more
        del house.env["LEADERBOARD_WRITE_DEADLINE_MS"], house.env["LEADERBOARD_READ_DEADLINE_MS"]
        self._house: Final = house
        self._command: Final = stack.enter_context(house.start())
        self.port: Final = house.port
        self.database_url: Final = house.urls()["DATABASE_URL"]
        self.redis_url: Final = house.urls()["REDIS_URL"]

    def report(self) -> str:
        """The end of what it wrote."""
        return self._command.tail()

    def server(self, part: str) -> int | None:
        """The server that works in this part of the data directory; None while there is none, or only its rest."""
        assert self._command.running(), f"`leaderboard run` has ended{self.report()}"
        try:
            return self._house.server(part)
        except ValueError:
            return None

    def kill(self, part: str) -> float:
        """Kill a server; returns the seconds until another one is there and answers."""
        victim = eventually(lambda: self.server(part)) or 0
        began = time.monotonic()
        kill(victim, signal.SIGKILL)
        eventually(lambda: not alive({victim}))
        look = self.is_redis_there if part == "redis" else self.is_postgres_there
        eventually(lambda: self.server(part) not in (None, victim) and look(), BACK_WITHIN_S, tell=self.report)
        return round(time.monotonic() - began, 1)

    def is_redis_there(self) -> bool:
        """Whether Redis takes commands."""
        try:
            with redis.Redis.from_url(self.redis_url, socket_timeout=5) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def is_postgres_there(self) -> bool:
        """Whether PostgreSQL accepts a connection."""
        try:
            psycopg.connect(self.database_url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


@fault("run: kill -9 of its Redis", rounds=3, under_run=True, excuses=LOST | {"I8": LOST["I4"]})
def run_redis_kill(run: RunRig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    load.measure("run: Redis is started again after, s", run.kill("redis"))


@fault("run: kill -9 of its postmaster", rounds=3, under_run=True)
def run_postmaster_kill(run: RunRig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    load.measure("run: PostgreSQL is started again after, s", run.kill("postgres"))
