"""Relays that a test steps: they crash or stand still at named points, or work until nothing is left."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import psycopg

from board.errors import BoardUnavailable, ServerUnreachable
from board.partitions import partition_of
from board.process.stop import Stop
from board.redis.keyspace import Keyspace
from board.redis.scripts import Script
from board.redis.sync_redis import SyncRedis
from relay.actor import Relay
from relay.batch import Refused, pending_partitions
from relay.rebuild import rebuild
from relay.session import RelaySession
from support.waiting import eventually
from support.world import World

S: Final = partition_of("s")
"""The partition of the season "s"."""


def equal(world: World, *seasons: str) -> bool:
    """Whether Redis holds what PostgreSQL has of these seasons ("s" by default), read by the test itself."""
    return all(world.board(season) == world.expected(season) for season in seasons or ("s",))


def write_watermark(world: World, **fields: Any) -> None:
    """Write what Redis remembers of the partition of "s"; None takes a field away."""
    for name, value in fields.items():
        if value is None:
            world.redis.hdel(world.keys.watermark[S], name)
        else:
            world.redis.hset(world.keys.watermark[S], name, value)


class Unsignalled(Stop):
    """A stop that takes no signals away from pytest."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        self.requested = True

    def wait(self, seconds: float | None) -> bool:
        """Return at once: a test turns the relay itself."""
        return self.requested


class Awaited(Unsignalled):
    """A stop that a relay in a thread waits for."""

    def __init__(self) -> None:
        super().__init__()
        self._event: Final = threading.Event()

    def request(self) -> None:
        super().request()
        self._event.set()

    def wait(self, seconds: float | None) -> bool:
        return self._event.wait(seconds)


def until_visited(world: World) -> None:
    """Wait until relays have visited every partition: before, it has no boards, not even empty ones."""
    eventually(lambda: all(world.redis.exists(mark) for mark in world.keys.watermark))


@contextmanager
def carrying(world: World, *, calm: bool = False) -> Iterator[None]:
    """A relay at work in a thread: for a test that needs boards, and no process that makes them (`relaying`).

    A `calm` one is for a whole run of tests: it works as soon as it is poked, and looks seldom by itself.
    """
    stop = Awaited()
    often = {"relay_idle_ms": 500, "relay_check_ms": 2_000} if calm else {"relay_idle_ms": 20}
    settings = msgspec.structs.replace(world.settings, **often)
    thread = threading.Thread(target=Relay(settings, stop).run)
    thread.start()
    try:
        until_visited(world)
        yield
    finally:
        stop.request()
        thread.join(60)
        assert not thread.is_alive()


POINTS: Final = ("after claim", "after take", "before apply", "after apply", "before swap", "after swap")
"""Where a relay can die or stand still; the last two are in a rebuild."""


class Pause:
    """A point where a relay, working in a thread of its own, stands still until it is told how to go on."""

    def __init__(self, point: str) -> None:
        self.point: Final = point
        self.reached = False
        self._dies = False
        self._news: Final = threading.Semaphore(0)
        self._go: Final = threading.Semaphore(0)

    def pass_by(self, point: str) -> None:
        """Called by the session at each point."""
        if point == self.point and not self.reached:
            self.reached = True
            self._news.release()
            assert self._go.acquire(timeout=60)
            if self._dies:
                raise psycopg.OperationalError(f"died {point}")

    def run(self, work: Callable[[], None]) -> None:
        """The thread: work, then tell that it is over."""
        try:
            work()
        finally:
            self._news.release()

    def wait(self) -> None:
        """Until the point is reached, or the work is over."""
        assert self._news.acquire(timeout=60)

    def go_on(self, *, dying: bool = False) -> None:
        """Let it work on, or die where it stands."""
        self._dies = dying
        self._go.release()


class SteppedRedis(SyncRedis):
    """A link that tells before and after each script."""

    def __init__(self, url: str, pass_by: Callable[[str], None]) -> None:
        super().__init__(url, "leaderboard-relay", 10.0)
        self._pass_by: Final = pass_by

    def run(self, script: Script, keys: list[bytes], args: list[bytes], groups: Any = ()) -> Any:
        self._pass_by(f"before {script.name}")
        reply = super().run(script, keys, args, groups)
        self._pass_by(f"after {script.name}")
        return reply


class Stepped(RelaySession):
    """A session that dies, or stands still, at the points where it is told to."""

    dies_at: str | None = None
    pause: Pause | None = None

    def __init__(self, database_url: str, redis_url: str, keys: Keyspace, **options: Any) -> None:
        super().__init__(database_url, redis_url, keys, **options)
        self.redis.close()
        self.redis = SteppedRedis(redis_url, self.pass_by)  # type: ignore[misc]

    def pass_by(self, point: str) -> None:
        if point == self.dies_at:
            self.db.close()
            raise psycopg.OperationalError(f"died {point}")
        if self.pause is not None:
            self.pause.pass_by(point)

    def fetch(self, name: str, **parameters: Any) -> list[Any]:
        rows = super().fetch(name, **parameters)
        if name in ("claim", "take"):
            self.pass_by(f"after {name}")
        return rows


class Hand:
    """A relay without a process: every step is a call. It connects anew by itself after a crash."""

    def __init__(self, world: World, *, limit: int = 2_000, seed: int = 0) -> None:
        self.world: Final = world
        settings = msgspec.structs.replace(world.settings, relay_batch=limit, relay_idle_ms=1)
        self.relay: Final = Relay(settings, Unsignalled(), randomness=random.Random(seed))
        # A relay learns this when it connects; here the sessions are those of the world.
        self.relay.keys.adopt(cluster=world.keys.poke.endswith(b"{q}:poke"))
        self.limit: Final = limit
        self._session: Stepped | None = None
        self._pause: Pause | None = None
        self._thread: threading.Thread | None = None

    @property
    def session(self) -> Stepped:
        if self._session is None or self._session.db.closed:
            self.let_go()
            made = self.world.session(Stepped, limit=self.limit)
            assert isinstance(made, Stepped)
            self._session = made
        return self._session

    def let_go(self) -> None:
        """Give up both connections."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def come_back(self) -> None:
        """Look at all watermarks, as a relay does first on new connections."""
        if self._session is None or self._session.db.closed:
            self.careful(lambda: self.relay.check(self.session))

    def careful(self, work: Callable[[], object]) -> None:
        """A lost connection ends the work, as it ends a turn of the real relay."""
        try:
            work()
        except (psycopg.OperationalError, psycopg.InterfaceError, BoardUnavailable, ServerUnreachable):
            self.let_go()

    def serve(self, partition: int, *, check: bool = False) -> None:
        """Carry a partition as the relay does, healing included."""
        self.careful(lambda: self.relay.serve(self.session, partition, check=check))

    def rebuild(self, partition: int) -> None:
        """Rebuild a partition as `leaderboard rebuild` does; a refusal or a busy partition ends it."""

        def work() -> None:
            try:
                rebuild(self.session, partition)
            except (Refused, psycopg.errors.SerializationFailure):
                return

        self.careful(work)

    def crash(self, partition: int, *, at: str, work: Callable[[int], None] | None = None) -> None:
        """Carry a partition (or do other work on it), but lose the connections at this point."""
        self.session.dies_at = at
        (work or self.serve)(partition)
        self.let_go()

    # --- Standing still

    @property
    def stands(self) -> bool:
        """Whether it stands still somewhere."""
        return self._pause is not None

    def start(self, work: Callable[[], None], point: str) -> None:
        """Work in a thread until this point is reached, or until the work is over."""
        session = self.session
        pause = session.pause = Pause(point)
        self._thread = threading.Thread(target=pause.run, args=(work,))
        self._thread.start()
        pause.wait()
        if pause.reached:
            self._pause = pause
        else:
            self._thread.join()
            session.pause = None

    def go_on(self, *, dying: bool = False) -> None:
        """Work on to the end, or die."""
        assert self._pause is not None and self._thread is not None
        self._pause.go_on(dying=dying)
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._pause = self._thread = None
        if dying:
            self.let_go()

    def lose_claim(self) -> None:
        """PostgreSQL gives up the connection of a relay that stands still, and with it the claim: a zombie is made."""
        assert self._pause is not None and self._session is not None
        pid = self._session.db.info.backend_pid
        self.world.rows("SELECT pg_terminate_backend(%s)", pid)
        eventually(lambda: not self.world.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid))

    def drain(self) -> None:
        """Work until no hint is left and every watermark is sound."""

        def settled() -> bool:
            self.relay.check(self.session)
            for partition in pending_partitions(self.session):
                self.serve(partition)
            return not pending_partitions(self.session) and not self.world.value("SELECT count(*) FROM outbox")

        eventually(settled)
        self.relay.check(self.session)
