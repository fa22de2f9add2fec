"""The system under test: new servers in a new directory, and the real processes of API and relay."""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from bench import REPOSITORY
from bench.system.programs import last_line
from board.audit import Act
from board.config.settings import Settings, environment
from board.errors import ChildFailed, ServerUnreachable
from board.partitions import PARTITIONS
from board.pg import schema
from board.pg.connections import connect
from board.pg.queries import queries
from board.process.children import spawn, terminate
from board.redis.keyspace import Keyspace
from board.redis.sync_redis import SyncRedis
from ctl.comparison.report import compare
from ctl.embedded import Embedded, Prefer
from ctl.http_client import Client
from service.keys import store as keystore
from service.keys.types import Wanted

READY_WITHIN_S: Final = 30.0
EMPTY_WITHIN_S: Final = 120.0
STRANDED_S: Final = 10.0
"""How long hints may be left in an outbox in which no relay sees work."""
SETTLED_S: Final = 300.0
STOP_WITHIN_S: Final = 20.0
POLL_S: Final = 0.005
POSTGRES_SETTINGS: Final = (
    *("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"),
    *("data_checksums", "shared_buffers", "max_wal_size"),
)
REDIS_SETTINGS: Final = ("appendonly", "appendfsync", "save", "io-threads")


class Stack:
    """PostgreSQL and Redis with an empty schema, durable, for one measurement; entering starts them.

    The data lies in a new directory below `parent`, which is removed at the end. `parent` must be on a real disk, since
    fsync costs nothing on a RAM disk. `prefer` chooses the servers of the system or those of the wheels.
    """

    def __init__(self, base: Settings, *, parent: Path, prefer: Prefer) -> None:
        self.base: Final = base
        self.parent: Final = parent
        self.prefer: Final = prefer
        self.settings: Settings = base
        self.servers: list[str] = []
        self.db: Any = None
        self.redis: Any = None
        self._root: Path
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._root = Path(tempfile.mkdtemp(prefix="leaderboard-bench-", dir=self.parent))
            stack.callback(shutil.rmtree, self._root, ignore_errors=True)
            self._root.chmod(0o711)
            database_url, redis_url = self.start_servers(stack)
            self.settings = msgspec.structs.replace(
                self.base,
                database_url=database_url,
                redis_url=redis_url,
                bind=f"127.0.0.1:{free_port()}",
                data_dir=self._root / "data",
            )
            self.db = stack.enter_context(connect(self.settings.database_url, "leaderboard-bench"))
            schema.migrate(self.db, discard)
            if self.settings.auth == "keys":
                key = keystore.create_key(self.db, Wanted("bench", ["read", "submit"]), Act()).key
                self.settings = msgspec.structs.replace(self.settings, key=key)
            self.redis = SyncRedis(self.settings.redis_url, "leaderboard-bench", 30.0)
            stack.callback(self.redis.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start_servers(self, stack: ExitStack) -> tuple[str, str]:
        """Start PostgreSQL and Redis, to be stopped by `stack`; returns their URLs."""
        data = self._root / "data"
        embedded = stack.enter_context(
            Embedded(data, postgres=True, redis=True, report=discard, prefer=self.prefer, durable=True)
        )
        self.servers = [line.partition(" in ")[0] for line in embedded.describe()]
        return embedded.database_url or "", embedded.redis_url or ""

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"http://{self.settings.bind}"

    @property
    def environ(self) -> dict[str, str]:
        """Environment of child processes: these settings, and no other LEADERBOARD_ variable."""
        others = {k: v for k, v in os.environ.items() if not k.startswith("LEADERBOARD_")}
        return {**others, **environment(self.settings)}

    @contextmanager
    def api(self) -> Iterator[Client]:
        """Run `leaderboard serve`; yields a client once all workers are ready. Raises `ServerUnreachable`."""
        s = self.settings
        with self.command("serve") as alive, closing(Client(self.url, self.settings.key)) as client:
            intake = s.workers * s.intake_connections
            self.wait(lambda: self.count_sessions("leaderboard-intake") >= intake and is_ready(client), alive)
            yield client

    @contextmanager
    def relays(self) -> Iterator[None]:
        """Run `leaderboard relay`; yields once every partition has had a relay. Raises `ServerUnreachable`."""
        with self.command("relay") as alive:
            count = "SELECT count(*) FROM partition WHERE fence > 0"
            self.wait(
                lambda: (
                    self.count_sessions("leaderboard-relay") >= self.settings.relays
                    and self.value(count) == PARTITIONS
                    and self.is_empty()
                ),
                alive,
            )
            yield

    @contextmanager
    def command(self, *arguments: str) -> Iterator[Callable[[], None]]:
        """Run a `leaderboard` command during the block; yields a function that raises `ChildFailed` if it has ended."""
        log = self._root / f"{arguments[0]}.log"
        with log.open("wb") as stderr:
            argv = [sys.executable, "-m", "ctl", *arguments]
            process = spawn(argv, env=self.environ, cwd=REPOSITORY, stdout=stderr, stderr=stderr)

        def alive() -> None:
            if process.poll() is not None:
                tail = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise ChildFailed(
                    f"leaderboard {arguments[0]} ended with status {process.returncode}: {' | '.join(tail)}"
                )

        try:
            yield alive
            alive()
        finally:
            terminate(process, timeout=STOP_WITHIN_S)

    def run_command(self, *arguments: str) -> Any:
        """Run a `leaderboard` command to its end; returns its decoded JSON output. Raises `ChildFailed`."""
        argv = [sys.executable, "-m", "ctl", *arguments, "--json"]
        done = subprocess.run(argv, env=self.environ, cwd=REPOSITORY, capture_output=True, check=False)
        if done.returncode != 0:
            said = last_line(done.stderr.decode(errors="replace"))
            raise ChildFailed(f"leaderboard {arguments[0]} ended with status {done.returncode}: {said}")
        return msgspec.json.decode(done.stdout)

    def value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The first value of the first row of a query; None without a row."""
        row = self.db.execute(query, parameters).fetchone()
        return row[0] if row else None

    def count_sessions(self, application: str) -> int:
        """Number of PostgreSQL's sessions with that application name."""
        return int(self.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [application]))

    def is_empty(self) -> bool:
        """Whether no partition has hints, by the query of the relays: its cost does not grow with dead rows."""
        identity = self.value(queries()["identity"].decode())
        known = {"identity": identity, "partitions": PARTITIONS}
        return not self.db.execute(queries()["pending_partitions"], known).fetchall()

    def count_hints(self) -> int:
        """Number of hints in the outbox. Counts the whole table, so it is not for loops."""
        return int(self.value("SELECT count(*) FROM outbox"))

    def wait_until_empty(self, started: float | None = None) -> float:
        """Wait until the outbox is empty; returns the seconds since `started` (now). Raises `ServerUnreachable`."""
        began = time.perf_counter() if started is None else started
        given_up = math.inf
        while True:
            self.wait(self.is_empty, do_nothing, EMPTY_WITHIN_S)
            took = time.perf_counter() - began
            if not (left := self.count_hints()):
                return took
            # A commit that a slow disk delayed may have come between the two queries; the relays apply it soon.
            given_up = min(given_up, time.monotonic() + STRANDED_S)
            if time.monotonic() > given_up:
                raise ServerUnreachable(f"{left} hints are left in which no relay sees work")
            time.sleep(POLL_S)

    def wait(self, ready: Callable[[], bool], alive: Callable[[], None], within_s: float = READY_WITHIN_S) -> None:
        """Poll `ready` until it is true, and call `alive` each time. Raises `ServerUnreachable` after `within_s`."""
        until = time.monotonic() + within_s
        while not ready():
            alive()
            if time.monotonic() > until:
                raise ServerUnreachable(f"the system under test was not ready within {within_s:.0f} s")
            time.sleep(POLL_S)

    def poke(self, partitions: set[int]) -> None:
        """Poke the relays for these partitions, as the service does."""
        key = Keyspace(self.settings.redis_prefix).poke
        self.redis.call("ZADD", key, *(x for p in partitions for x in (b"0", b"%d" % p)))

    def checkpoint(self) -> None:
        """Write all dirty pages, so that a measurement does not pay for earlier writes."""
        self.db.execute("CHECKPOINT")

    def settle(self) -> None:
        """Wait for the work that both servers put off, as if the last large change were a while ago.

        PostgreSQL vacuums the tables and writes all dirty pages, and Redis writes its file anew.
        """
        self.db.execute("VACUUM (ANALYZE)")
        self.checkpoint()
        self.wait_for_rewrite()

    def wait_for_rewrite(self) -> None:
        """Wait until Redis does not rewrite its file."""
        done = b"aof_rewrite_in_progress:0"
        self.wait(lambda: done in self.redis.call("INFO", "persistence"), do_nothing, SETTLED_S)

    def find_differences(self) -> list[str]:
        """Compare PostgreSQL and Redis completely; returns the faults, none when they are consistent."""
        report = compare(self.settings, wait_s=EMPTY_WITHIN_S)
        if report.equal:
            return []
        first = "".join(f"; {d.season} {d.user}: {d.what} {d.postgres} / {d.redis}" for d in report.differences[:1])
        return [
            f"PostgreSQL and Redis differ: {report.differences_found} differences, {report.unsettled} unsettled{first}"
        ]

    def durability(self) -> dict[str, str]:
        """The settings of both servers that decide the cost of a commit, by name."""
        found = {f"postgresql {name}": str(self.value(f"SHOW {name}")) for name in POSTGRES_SETTINGS}
        for name in REDIS_SETTINGS:
            reply = self.redis.call("CONFIG", "GET", name)
            found[f"redis {name}"] = reply[1].decode() if reply else "unknown"
        return found


def is_ready(client: Client) -> bool:
    """Whether ``/readyz`` answers 200."""
    try:
        return client.ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def free_port() -> int:
    """A loopback port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def discard(text: str) -> None:
    """A report function that drops its text."""


def do_nothing() -> None:
    """An `alive` function for waits without a process."""
