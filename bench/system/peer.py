"""The original beside ours: its own binary, on PostgreSQL and Redis of its own, started as those of ours.

The binary reads POSTGRES_DSN and REDIS_ADDR. Its tables are made from ``schema.sql`` beside it, as its documentation
asks. Source: leaderboard-go, commit 1f5f006 (`bench.report.original`).
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote

from bench.system.run_options import RunOptions
from bench.system.stack import EMPTY_WITHIN_S, POLL_S, READY_WITHIN_S, STOP_WITHIN_S, discard
from board.errors import ChildFailed, ServerUnreachable, UsageError
from board.pg.connections import connect
from board.process.children import spawn, terminate
from ctl.embedded import Embedded
from ctl.http_client import Client

SCHEMA: Final = "schema.sql"
PENDING: Final = "SELECT count(*) FROM outbox WHERE status <> 'done'"
FILL_EVENTS: Final = """
INSERT INTO score_events (season_id, user_id, delta)
SELECT %(season)s, 'player-' || n, n %% %(values)s + 1 FROM generate_series(0, %(players)s - 1) n
"""
FILL_OUTBOX: Final = """
INSERT INTO outbox (event_type, payload)
SELECT 'score_delta',
    jsonb_build_object('seasonId', %(season)s::text, 'userId', 'player-' || n, 'delta', n %% %(values)s + 1)
FROM generate_series(0, %(players)s - 1) n
"""


class Peer:
    """The servers of the original; entering starts them with empty tables.

    Raises `UsageError` if the binary, its schema or its port is not there.
    """

    def __init__(self, options: RunOptions, program: Path) -> None:
        self.options: Final = options
        self.program: Final = program
        self.db: Any = None
        self._environ: dict[str, str] = {}
        self._root: Path
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        schema = self.program.parent / SCHEMA
        if not self.program.is_file() or not os.access(self.program, os.X_OK):
            raise UsageError(f"--peer {self.program} is no program; bench/README.md says how to build it")
        if not schema.is_file():
            raise UsageError(f"--peer: {schema} is missing; the program is built in its source tree, which has it")
        with ExitStack() as stack:
            self._root = Path(tempfile.mkdtemp(prefix="leaderboard-peer-", dir=self.options.parent))
            stack.callback(shutil.rmtree, self._root, ignore_errors=True)
            self._root.chmod(0o711)
            embedded = stack.enter_context(
                Embedded(
                    self._root / "data", postgres=True, redis=True, report=discard, prefer=self.options.servers,
                    durable=True,
                )
            )  # fmt: skip
            database_url = embedded.database_url or ""
            self.db = stack.enter_context(connect(database_url, "leaderboard-bench"))
            self.db.execute(schema.read_text(encoding="utf-8"))
            # Both are paths of Unix sockets, as ours has them.
            redis_path = unquote((embedded.redis_url or "").removeprefix("unix://").partition("?")[0])
            self._environ = {
                "POSTGRES_DSN": database_url,
                "REDIS_ADDR": redis_path,
                "PORT": str(self.options.peer_port),
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.options.peer_port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the program, which is API and worker, during the block. Raises `ChildFailed` and `UsageError`."""
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.options.peer_port)) == 0:
                raise UsageError(f"port {self.options.peer_port} is taken; the original listens on it")
        log = self._root / "peer.log"
        with log.open("ab") as output:
            process = spawn(
                [str(self.program)], env={**os.environ, **self._environ}, cwd=self._root, stdout=output,
                stderr=output,
            )  # fmt: skip
        try:
            self._wait_until_ready(process, log)
            yield
            if process.poll() is not None:
                raise ChildFailed(f"{self.program.name} ended with status {process.returncode}: {last_words(log)}")
        finally:
            terminate(process, timeout=STOP_WITHIN_S)

    def _wait_until_ready(self, process: Any, log: Path) -> None:
        until = time.monotonic() + READY_WITHIN_S
        with closing(Client(self.url)) as client:
            while True:
                try:
                    if client.ask("GET", "/readyz")[0] == 200:
                        return
                except (OSError, http.client.HTTPException):
                    pass  # It does not listen yet.
                if process.poll() is not None or time.monotonic() > until:
                    raise ChildFailed(f"{self.program.name} does not become ready: {last_words(log)}")
                time.sleep(POLL_S)

    def checkpoint(self) -> None:
        """Write all dirty pages, so that a measurement does not pay for earlier writes."""
        self.db.execute("CHECKPOINT")

    def fill(self, season: str, players: int, values: int) -> None:
        """Give players 0 to `players` - 1 the scores n % `values` + 1, by its own worker, which has to run."""
        parameters = {"season": season, "players": players, "values": values}
        with self.db.transaction():
            self.db.execute(FILL_EVENTS, parameters)
            self.db.execute(FILL_OUTBOX, parameters)
        self.wait_until_empty()

    def wait_until_empty(self) -> None:
        """Wait until its worker has applied everything. Raises `ServerUnreachable`."""
        until = time.monotonic() + EMPTY_WITHIN_S
        while left := self.db.execute(PENDING).fetchone()[0]:
            if time.monotonic() > until:
                raise ServerUnreachable(f"the worker of {self.program.name} has left {left} rows in its outbox")
            time.sleep(POLL_S)

    def count_rows(self, season: str) -> int:
        """Number of submissions of a season in PostgreSQL."""
        found = self.db.execute("SELECT count(*) FROM score_events WHERE season_id = %s", (season,)).fetchone()
        return int(found[0])


def last_words(log: Path) -> str:
    """The last lines that the program wrote."""
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
