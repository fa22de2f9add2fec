"""Everything under test, started for real: PostgreSQL, Redis or Valkey, the service, the relays, proxies between.

A thread restarts the service and the relay pool when they end, as systemd does on a host.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, cast
from urllib.parse import quote

import psycopg
import redis
from support.http import free_port
from support.processes import START_S, alive, answers, children_of
from support.proxy import Proxy
from support.repository import REPOSITORY
from support.waiting import eventually

from board.pg import schema
from board.process.children import spawn, terminate
from ctl.embedded import Prefer
from ctl.embedded import postgres as pg
from ctl.embedded import redis as rd
from ctl.embedded.account import choose_account
from ctl.embedded.data_directory import DataDirectory
from ctl.embedded.installations import find_postgres, find_redis
from ctl.embedded.wheel_copies import make_usable

APP: Final = "app"


def prefer() -> Prefer:
    """Which servers, as in the suite."""
    return cast(Prefer, os.environ.get("LEADERBOARD_TEST_SERVERS", "wheel"))


class Rig:
    """`tree` is the source the service and the relays run from; a mutated copy has lost one of its guards."""

    def __init__(self, root: Path, tree: Path = REPOSITORY, **settings: str) -> None:
        root.chmod(0o711)
        self.root: Final = root
        self.tree: Final = tree
        self.more: Final = settings
        self.extra: dict[str, str] = {}
        self.data: Final = DataDirectory(root / "data")
        self.account: Final = choose_account(self.data.postgres, self.data.redis)
        self._stack: Final = ExitStack()
        self._services: Final[dict[str, subprocess.Popen[bytes]]] = {}
        self._arguments: Final[dict[str, list[str]]] = {}
        self._lock: Final = threading.RLock()
        self._closing = threading.Event()
        self.log: Final = root / "product.log"

    # --- life

    def __enter__(self) -> Rig:
        with ExitStack() as stack:
            stack.enter_context(self.data.lock())
            account, runtime = self.account, self.data.runtime
            found = make_usable(find_postgres(prefer(), runtime, account)[0], account, runtime)
            self.postgres: pg.Postgres = pg.Postgres(found, self.data, account, durable=True)
            self.redis = rd.Redis(
                make_usable(find_redis(prefer(), account)[0], account, runtime),
                self.data,
                account,
                durable=True,
            )
            self.sockets = stack.enter_context(self.data.sockets(account))
            stack.callback(self.postgres.stop)
            self.admin_url = self.postgres.start(self.sockets, print)
            stack.callback(self.redis.stop)
            self.redis.start(self.sockets, print)
            self.redis_files = self.data.redis
            self.redis_socket = f"{self.sockets}/redis.sock"
            self._prepare()
            where = {"pg": f"{self.sockets}/.s.PGSQL.5432", "redis": self.redis_socket}
            self.proxies = {f"{who}-{what}": Proxy(where[what]) for who in ("api", "relay") for what in where}
            for proxy in self.proxies.values():
                stack.callback(proxy.close)
            stack.callback(self._stop_services)
            self.port = free_port()
            self.start("api", ["-m", "ctl", "serve", "--quiet"])
            self.start("relays", ["-m", "ctl", "relay", "--processes", "2"])
            threading.Thread(target=self._keep, daemon=True).start()
            eventually(lambda: answers(self.port, "/readyz"), START_S, tell=self.report)
            self._stack.push(stack.pop_all())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _prepare(self) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as db:
            if not db.execute("SELECT FROM pg_roles WHERE rolname = %s", (APP,)).fetchone():
                db.execute(f"CREATE ROLE {APP} LOGIN".encode())
                db.execute(f"CREATE DATABASE {APP} OWNER {APP}".encode())
        with psycopg.connect(self.database_url, autocommit=True) as db:
            schema.migrate(db, lambda text: None)

    # --- addresses

    @property
    def database_url(self) -> str:
        """Straight to PostgreSQL, for the judge and the injections; the product goes through proxies."""
        return f"postgresql://{APP}@/{APP}?host={quote(str(self.sockets), safe='')}"

    @property
    def redis_url(self) -> str:
        """Straight to Redis."""
        return f"unix://{self.redis_socket}?db=0"

    def environment(self, who: str) -> dict[str, str]:
        """What a process of the product gets: its own proxies and patience fit for a test."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LEADERBOARD_", "DATABASE_", "REDIS_", "PG"))}
        return {
            **kept,
            **{k: v for k in ("LEADERBOARD_IMPL",) if (v := os.environ.get(k))},
            "PYTHONPATH": f"{self.tree}{os.pathsep}{REPOSITORY / 'tests'}",
            "DATABASE_URL": f"postgresql://{APP}@127.0.0.1:{self.proxies[f'{who}-pg'].port}/{APP}",
            "REDIS_URL": f"redis://127.0.0.1:{self.proxies[f'{who}-redis'].port}/0",
            "LEADERBOARD_AUTH": "open",
            "LEADERBOARD_BIND": f"127.0.0.1:{self.port}",
            "LEADERBOARD_WORKERS": "2",
            "LEADERBOARD_DATA_DIR": "/nonexistent",
            "LEADERBOARD_RELAY_CHECK_MS": "500",
            "LEADERBOARD_RELAY_SAMPLE_MS": "300",
            "LEADERBOARD_SHUTDOWN_GRACE_S": "8",
            **self.more,
            **self.extra,
        }

    def postgres_connection(self) -> psycopg.Connection[Any]:
        """A connection of the rig's own, autocommit."""
        return psycopg.connect(self.database_url, autocommit=True, application_name="rig")

    def redis_connection(self) -> Any:
        """The rig's own client."""
        return redis.Redis.from_url(self.redis_url, socket_timeout=10)

    # --- processes of the product

    def start(self, name: str, arguments: list[str], tree: Path | None = None) -> None:
        """Start a process of the product and keep it running."""
        with self._lock:
            self._arguments[name] = arguments
            self._services[name] = self._spawn(name, arguments, tree)

    def _spawn(self, name: str, arguments: list[str], tree: Path | None = None) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            who = "api" if name == "api" else "relay"
            env = self.environment(who)
            if tree is not None:
                env["PYTHONPATH"] = f"{tree}{os.pathsep}{REPOSITORY / 'tests'}"
            # The death signal is tied to the calling thread: the main one, or that of `_keep`, which ends with the rig.
            return spawn(
                [sys.executable, *arguments],
                env=env,
                cwd=tree or self.tree,
                stdout=log,
                stderr=log,
            )

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The present process of this name."""
        with self._lock:
            return self._services[name]

    def names(self) -> set[str]:
        """Names of the processes that are kept running."""
        with self._lock:
            return set(self._services)

    def forget(self, name: str) -> subprocess.Popen[bytes]:
        """Keep it no longer running; the caller ends it."""
        with self._lock:
            self._arguments.pop(name)
            return self._services.pop(name)

    def restart(self, name: str, **settings: str) -> None:
        """Stop a process of the product and start it again with other settings (none: the usual ones)."""
        arguments = self._arguments[name]
        self.stop_service(name)
        self.extra = settings
        self.start(name, arguments)

    def stop_service(self, name: str) -> None:
        """End a process of the product in order, and its children."""
        process = self.forget(name)
        children = children_of(process.pid)
        terminate(process, signal.SIGTERM, 30)
        eventually(lambda: not alive(children), 30)

    def _keep(self) -> None:
        """Restart them, as systemd's Restart=always does. A moment between tries: the port may still be in use."""
        while not self._closing.wait(0.1):
            with self._lock:
                if self._closing.is_set():
                    return
                for name, arguments in self._arguments.items():
                    if self._services[name].poll() is not None:
                        self._services[name] = self._spawn(name, arguments)

    def _stop_services(self) -> None:
        self._closing.set()
        with self._lock:
            names = list(self._services)
        for name in names:
            process = self.forget(name)
            children = children_of(process.pid)
            terminate(process, signal.SIGTERM, 20)
            deadline = time.monotonic() + 10
            while (left := alive(children)) and time.monotonic() < deadline:
                time.sleep(0.02)
            for pid in left:
                kill(pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Process ids of gunicorn's workers."""
        return sorted(pid for pid in children_of(self.process("api").pid) if alive({pid}))

    def relays(self) -> list[int]:
        """Process ids of the relays of the pool (not the janitor)."""
        found = []
        for pid in sorted(children_of(self.process("relays").pid)):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"carry" in words:
                found.append(pid)
        return found

    # --- servers

    def undo(self, what: Callable[[], object]) -> None:
        """Do this when the rig ends."""
        self._stack.callback(what)

    def give(self, directory: Path) -> None:
        """Make the servers' user the owner of a directory and all that is in it."""
        if self.account is not None:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    def tool(self, argv: list[str | Path], output: Path | None = None, source: IO[bytes] | None = None) -> None:
        """Run one of PostgreSQL's programs as the servers' user; `output` gets what it prints."""
        with (output or self.root / "tools.log").open("ab") as sink, (self.root / "tools.log").open("ab") as log:
            process = spawn(
                argv, user=self.account, cwd="/", stdin=source or subprocess.DEVNULL, stdout=sink, stderr=log
            )
            status = process.wait(120)
        assert status == 0, (argv, (self.root / "tools.log").read_text(errors="replace")[-2000:])

    def proxy(self, target: str) -> Proxy:
        """One more proxy, closed with the rig."""
        made = Proxy(target)
        self.undo(made.close)
        return made

    def start_second_redis(self, name: str) -> tuple[rd.Redis, str]:
        """Start a second, empty Redis; returns it and its socket. The caller stops it."""
        data = DataDirectory(self.root / name)
        sockets = data.root.with_name(f"{name}-s")
        data.create_private(sockets, self.account)
        server = rd.Redis(self.redis.installation, data, self.account, durable=True)
        server.start(sockets, print)
        return server, f"{sockets}/redis.sock"

    def adopt_redis(self, server: rd.Redis, path: str) -> None:
        """From now on that server is the one of the rig, which stops it at the end."""
        self.redis, self.redis_socket = server, path
        self.redis_files = DataDirectory(Path(path).parent.with_name(Path(path).parent.name.removesuffix("-s"))).redis
        self.undo(server.stop)
        for name in ("api-redis", "relay-redis"):
            self.proxies[name].redirect(path)
            self.proxies[name].reset()

    def redis_at(self, path: str) -> Any:
        """A client of the Redis behind a socket."""
        return redis.Redis.from_url(f"unix://{path}?db=0", socket_timeout=10)

    def crash_postgres(self) -> None:
        """`pg_ctl stop -m immediate`: no checkpoint, recovery at the next start."""
        terminate(self.postgres._require_process(), signal.SIGQUIT, 30)

    def start_postgres(self) -> None:
        """Start it again on the data on its disk."""
        self.postgres.start(self.sockets, print)

    def kill_redis(self) -> None:
        """kill -9."""
        process = self.redis._require_process()
        process.kill()
        process.wait()

    def start_redis(self) -> None:
        """Start it again on the data on its disk."""
        self.redis.start(Path(self.redis_socket).parent, print)

    def wipe_redis(self) -> None:
        """Take away what a stopped Redis has on its disk."""
        for path in sorted(self.redis_files.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def report(self) -> str:
        """The end of what the product wrote."""
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""


def stopped(pid: int) -> bool:
    """Whether a process stands still by SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def kill(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False if the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def follow(client: Any, port: int) -> None:
    """Make a server the replica of the one on a port; returns when it has its data."""
    client.config_set("repl-diskless-load", "disabled")
    client.replicaof("127.0.0.1", port)
    eventually(lambda: client.info("replication")["master_link_status"] == "up", 30)
