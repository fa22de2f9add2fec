"""The embedded Valkey or Redis: an append-only file, one Unix socket, no TCP.

What it holds is a copy of PostgreSQL, which relays rebuild; so data that a server cannot read is set aside.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import quote

import msgspec

from board.errors import ServerStartFailed
from board.process.children import Account
from ctl.embedded import leftovers
from ctl.embedded.data_directory import DataDirectory
from ctl.embedded.installations import Installation
from ctl.embedded.server_process import Report, Server

_START_TIMEOUT = 600.0

# SIGTERM writes the append-only file to disk and ends.
_STOP_SIGNALS = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))

_UNREADABLE = re.compile(
    "Bad file format|Can't handle RDB|Unexpected end of file|Internal error in RDB|Wrong signature",
    re.IGNORECASE,
)

# For transparent huge pages, decision 44: of Debian's allocator, and of the C library's, which the wheel has.
_HUGE_PAGES = {"MALLOC_CONF": "thp:always", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_SPLITS_COPIES = (5, 8)
"""Since this Linux, of a huge page that changes while a child shares it only a small one is copied."""


class _Maker(msgspec.Struct, frozen=True):
    """Who wrote the data; kept beside it, since newer formats cannot be read by older servers."""

    product: str
    version: tuple[int, ...]

    def can_be_read_by(self, installation: Installation) -> bool:
        # Valkey forked from Redis 7.2: it reads what that wrote, and Redis may not read what it writes.
        if self.product == installation.product:
            return installation.version[:2] >= self.version[:2]
        return self.product == "Redis" and self.version[:2] <= (7, 2)


def choose(installations: list[Installation], data: DataDirectory) -> Installation:
    """The best installation that can read what is there; the best of all when none can."""
    maker = _maker(data)
    if maker is None:
        return installations[0]
    return next((i for i in installations if maker.can_be_read_by(i)), installations[0])


def splits_copies(release: str) -> bool:
    """Whether that kernel's huge pages are fit for a server that forks: ``6.1.0-18-amd64`` is."""
    version = re.match(r"(\d+)\.(\d+)", release)
    return version is not None and (int(version[1]), int(version[2])) >= _SPLITS_COPIES


class Redis(Server):
    """The Valkey or Redis server below a data directory."""

    def __init__(
        self,
        installation: Installation,
        data: DataDirectory,
        account: Account | None,
        *,
        durable: bool,
    ) -> None:
        super().__init__(installation, data, account, "redis", _STOP_SIGNALS)
        self._durable = durable

    def stop_leftovers(self, report: Report) -> None:
        """End what an earlier run left alive. Raises ServerStartFailed when it does not end."""
        leftovers.stop(self._data.redis, ("valkey-server", "redis-server"), _STOP_SIGNALS, report)

    def start(self, sockets: Path, report: Report) -> str:
        """Start and wait until it answers; data that cannot be read is set aside.

        Call ``stop_leftovers`` first. Returns the URL. Raises ServerStartFailed.
        """
        maker = _maker(self._data)
        if maker is not None and not maker.can_be_read_by(self.installation):
            self._set_aside(report, f"it was written by {maker.product} {'.'.join(map(str, maker.version))}")
        path = sockets / "redis.sock"
        try:
            self._spawn_and_wait(path, report)
        except ServerStartFailed:
            if not _UNREADABLE.search(self.log_tail(20)):
                raise
            self._set_aside(report, "it cannot be read")
            self._spawn_and_wait(path, report)
        maker = _Maker(self.installation.product, self.installation.version)
        _maker_path(self._data).write_bytes(msgspec.json.encode(maker))
        return f"unix://{quote(os.fsencode(path))}?db=0"

    def _spawn_and_wait(self, path: Path, report: Report) -> None:
        settings = {
            "port": "0",
            "unixsocket": str(path),
            "unixsocketperm": "700",
            "dir": str(self._data.redis),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec" if self._durable else "no",
            # Losing keys to make room would look like a board without those players.
            "maxmemory-policy": "noeviction",
        }
        huge = sys.platform == "linux" and splits_copies(os.uname().release)
        if huge:
            settings["disable-thp"] = "no"
        options = [argument for name, value in settings.items() for argument in (f"--{name}", value)]
        self._data.give(self._data.redis, self._account)
        self.spawn([self.installation.program, *options], self._data.redis, env=_HUGE_PAGES if huge else None)
        self.wait_until(lambda: _answers(path), report, _START_TIMEOUT)

    def _set_aside(self, report: Report, why: str) -> None:
        directory = self._data.redis
        if not directory.exists():
            return
        aside = directory.with_name("redis.set-aside")
        if aside.exists():
            shutil.rmtree(aside)
        directory.rename(aside)
        report(f"moved the Redis data to {aside}, since {why}; it is rebuilt from PostgreSQL")


def _answers(path: Path) -> bool:
    """Whether a server behind the socket takes commands; while it loads its file it refuses them."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _maker_path(data: DataDirectory) -> Path:
    return data.runtime / "redis-made-by.json"


def _maker(data: DataDirectory) -> _Maker | None:
    try:
        return msgspec.json.decode(_maker_path(data).read_bytes(), type=_Maker)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
