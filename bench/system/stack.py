"""The system under test: fresh servers in a new directory, and the real API and relay processes."""

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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from bench import REPOSITORY
from board.config.settings import Settings, environment
from board.errors import ChildFailed, ServerUnreachable
from board.pg import schema
from board.pg.session import connect, queries
from board.process.children import spawn, terminate
from board.redis.keyspace import PARTITIONS, Keys
from board.redis.sync_redis import Link
from ctl import verifying
from ctl.demo import Client
from ctl.embedded import Embedded, Prefer
from service.keys import store as keystore
from service.keys.store import Wanted

READY_WITHIN_S: Final = 30.0
EMPTY_WITHIN_S: Final = 120.0
STRANDED_S: Final = 10.0
STOP_WITHIN_S: Final = 20.0
POLL_S: Final = 0.005
POSTGRES_SETTINGS: Final = (
    *("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"),
    *("data_checksums", "shared_buffers", "max_wal_size"),
)
REDIS_SETTINGS: Final = ("appendonly", "appendfsync", "save", "io-threads")


class Stack:
    """PostgreSQL and Redis with an empty schema, durable, for one measurement; entering starts them.

    `parent` must lie on a disk that keeps what it is told to: on a RAM disk fsync costs nothing.
    """

    def __init__(self, base: Settings, *, parent: Path, prefer: Prefer) -> None:
        self.base: Final = base
        self.parent: Final = parent
        self.prefer: Final = prefer
        self.settings: Settings = base
        self.servers: list[str] = []
        self.db: Any = None
        self.link: Any = None
        self._root: Path
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._root = Path(tempfile.mkdtemp(prefix="leaderboard-bench-", dir=self.parent))
            stack.callback(shutil.rmtree, self._root, ignore_errors=True)
            self._root.chmod(0o711)
            data = self._root / "data"
            embedded = stack.enter_context(
                Embedded(data, postgres=True, redis=True, report=ignore, prefer=self.prefer, durable=True)
            )
            self.servers = [line.partition(" in ")[0] for line in embedded.describe()]
            self.settings = msgspec.structs.replace(
                self.base,
                database_url=embedded.database_url or "",
                redis_url=embedded.redis_url or "",
                bind=f"127.0.0.1:{free_port()}",
                data_dir=data,
            )
            self.db = stack.enter_context(connect(self.settings.database_url, "leaderboard-bench"))
            schema.migrate(self.db, ignore)
            if self.settings.auth == "keys":
                key = keystore.created(self.db, Wanted("bench", ["read", "submit"])).key
                self.settings = msgspec.structs.replace(self.settings, key=key)
            self.link = Link(self.settings.redis_url, "leaderboard-bench", 30.0)
            stack.callback(self.link.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://{self.settings.bind}"

    @property
    def environ(self) -> dict[str, str]:
        """For child processes: these settings and nothing else of ours."""
        others = {k: v for k, v in os.environ.items() if not k.startswith("LEADERBOARD_")}
        return {**others, **environment(self.settings)}

    @contextmanager
    def api(self) -> Iterator[Client]:
        """`leaderboard serve`, all its workers up; yields a client of it."""
        s = self.settings
        with self.command("serve") as alive:
            client = Client(self.url, self.settings.key)
            intake = s.workers * s.intake_connections
            self.wait(lambda: self.connections("leaderboard-intake") >= intake and ready(client), alive)
            yield client
            client.connection.close()

    @contextmanager
    def relays(self) -> Iterator[None]:
        """`leaderboard relay`; all relays are up and have looked at every partition."""
        with self.command("relay") as alive:
            count = "SELECT count(*) FROM partition WHERE fence > 0"
            self.wait(
                lambda: (
                    self.connections("leaderboard-relay") >= self.settings.relays
                    and self.value(count) == PARTITIONS
                    and self.is_empty()
                ),
                alive,
            )
            yield

    @contextmanager
    def command(self, *arguments: str) -> Iterator[Callable[[], None]]:
        """A `leaderboard` command until the block ends; yields a call that raises `ChildFailed` if it has died."""
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

    def call(self, *arguments: str) -> Any:
        """Run a `leaderboard` command to its end; what it prints with ``--json``. Raises `ChildFailed`."""
        argv = [sys.executable, "-m", "ctl", *arguments, "--json"]
        done = subprocess.run(argv, env=self.environ, cwd=REPOSITORY, capture_output=True, check=False)
        if done.returncode != 0:
            text = done.stderr.decode(errors="replace").strip()
            raise ChildFailed(f"leaderboard {arguments[0]} ended with status {done.returncode}: {text[-300:]}")
        return msgspec.json.decode(done.stdout)

    def value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The one value a query returns."""
        row = self.db.execute(query, parameters).fetchone()
        return row[0] if row else None

    def connections(self, application: str) -> int:
        """How many sessions of that name PostgreSQL has."""
        return int(self.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [application]))

    def is_empty(self) -> bool:
        """Whether no partition has hints, asked the way relays ask: it costs the same however many rows are dead."""
        identity = self.value(queries()["identity"].decode())
        known = {"identity": identity, "partitions": PARTITIONS}
        return not self.db.execute(queries()["pending_partitions"], known).fetchall()

    def pending(self) -> int:
        """Hints that wait; counts the table, so not for loops."""
        return int(self.value("SELECT count(*) FROM outbox"))

    def until_empty(self, started: float | None = None) -> float:
        """Wait until the outbox is empty; seconds from `started` (now) until it was. Raises `ServerUnreachable`."""
        began = time.perf_counter() if started is None else started
        given_up = math.inf
        while True:
            self.wait(self.is_empty, nothing, EMPTY_WITHIN_S)
            took = time.perf_counter() - began
            if not (left := self.pending()):
                return took
            # A commit that a slow disk held back may have come between the two looks; it is carried soon.
            given_up = min(given_up, time.monotonic() + STRANDED_S)
            if time.monotonic() > given_up:
                raise ServerUnreachable(f"{left} hints are left that no relay looks for")
            time.sleep(POLL_S)

    def wait(self, ready: Callable[[], bool], alive: Callable[[], None], within_s: float = READY_WITHIN_S) -> None:
        """Poll with a deadline. Raises `ServerUnreachable` when it passes."""
        until = time.monotonic() + within_s
        while not ready():
            alive()
            if time.monotonic() > until:
                raise ServerUnreachable(f"the system under test was not ready within {within_s:.0f} s")
            time.sleep(POLL_S)

    def poke(self, partitions: set[int]) -> None:
        """Wake the relays for these partitions, as the service does."""
        key = Keys(self.settings.redis_prefix).poke
        self.link.call("ZADD", key, *(x for p in partitions for x in (b"0", b"%d" % p)))

    def checkpoint(self) -> None:
        """Begin a measurement with no dirty pages, so that none pays for what came before."""
        self.db.execute("CHECKPOINT")

    def unequal(self) -> list[str]:
        """Complete comparison of PostgreSQL and Redis; what is wrong, empty when they are equal."""
        report = verifying.compare(self.settings, wait_s=EMPTY_WITHIN_S)
        if report.equal:
            return []
        first = "".join(f"; {d.season} {d.user}: {d.what} {d.postgres} / {d.redis}" for d in report.differences[:1])
        return [
            f"PostgreSQL and Redis differ: {report.differences_found} differences, {report.unsettled} unsettled{first}"
        ]

    def durability(self) -> dict[str, str]:
        """The settings of both servers that decide what a commit costs."""
        found = {f"postgresql {name}": str(self.value(f"SHOW {name}")) for name in POSTGRES_SETTINGS}
        for name in REDIS_SETTINGS:
            reply = self.link.call("CONFIG", "GET", name)
            found[f"redis {name}"] = reply[1].decode() if reply else "unknown"
        return found


def ready(client: Client) -> bool:
    """Whether the API says that it can serve."""
    try:
        return client.ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ignore(text: str) -> None:
    """A report nobody reads."""


def nothing() -> None:
    """A process that needs no watching."""
