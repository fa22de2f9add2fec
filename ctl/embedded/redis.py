"""The embedded Valkey or Redis: an append-only file, one Unix socket, no TCP.

Its data is a copy of PostgreSQL's, which relays rebuild. So a data directory that the server cannot read is moved
away.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from board.errors import ServerStartFailed
from board.process.children import Account
from ctl.embedded import leftovers
from ctl.embedded.data_directory import DataDirectory
from ctl.embedded.installations import Installation
from ctl.embedded.server_process import Report, ServerProcess

log: Final = logging.getLogger(__name__)

_START_TIMEOUT = 600.0
_NAMES = ("valkey-server", "redis-server")

# SIGTERM writes the append-only file to disk and ends.
_STOP_SIGNALS = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))

_QUESTION = b"PING\r\n"
"""Answered also while the server loads its file or runs a script for long: by an error."""

_UNREADABLE = re.compile(
    "Bad file format|Can't handle RDB|Unexpected end of file|Internal error in RDB|Wrong signature",
    re.IGNORECASE,
)

# Transparent huge pages (docs/decisions.md): jemalloc's variable for Debian's server, the C library's for the wheel's.
_HUGE_PAGES = {"MALLOC_CONF": "thp:always", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_FIRST_LINUX = (5, 8)
"""The first Linux that copies only a small page when a huge page changes that a child shares."""


class _Writer(msgspec.Struct, frozen=True):
    """The server that wrote the data. Kept beside it, since an older server cannot read a newer format."""

    product: str
    version: tuple[int, ...]

    def can_be_read_by(self, installation: Installation) -> bool:
        # Valkey forked from Redis 7.2 and reads its format. Redis may not read Valkey's.
        if self.product == installation.product:
            return installation.version[:2] >= self.version[:2]
        return self.product == "Redis" and self.version[:2] <= (7, 2)


def choose(installations: list[Installation], data: DataDirectory) -> Installation:
    """The best installation that can read the data; the best of all when none can."""
    writer = _read_writer(data)
    if writer is None:
        return installations[0]
    return next((i for i in installations if writer.can_be_read_by(i)), installations[0])


def copies_small_pages(release: str) -> bool:
    """Whether a kernel's huge pages suit a server that forks: ``6.1.0-18-amd64`` does."""
    version = re.match(r"(\d+)\.(\d+)", release)
    return version is not None and (int(version[1]), int(version[2])) >= _FIRST_LINUX


class Redis(ServerProcess):
    """The Valkey or Redis server below a data directory."""

    def __init__(
        self,
        installation: Installation,
        data: DataDirectory,
        account: Account | None,
        *,
        durable: bool,
    ) -> None:
        super().__init__(installation, data, account, "redis", _STOP_SIGNALS, _QUESTION)
        self._durable = durable
        self._path = data.runtime

    def stop_leftovers(self, report: Report) -> None:
        """Stop the processes of an earlier run. Raises ServerStartFailed when they do not end."""
        leftovers.stop(self._data.redis, _NAMES, _STOP_SIGNALS, report)

    def start(self, sockets: Path, report: Report) -> str:
        """Start the server and wait until it answers; a data directory that it cannot read is moved away.

        Call ``stop_leftovers`` first. Returns the URL. Raises ServerStartFailed.
        """
        writer = _read_writer(self._data)
        if writer is not None and not writer.can_be_read_by(self.installation):
            self._move_away(report, f"it was written by {writer.product} {'.'.join(map(str, writer.version))}")
        self._path = sockets / "redis.sock"
        try:
            self._launch_and_wait(report)
        except ServerStartFailed:
            if not _UNREADABLE.search(self.read_log_tail(20)):
                raise
            self._move_away(report, "it cannot be read")
            self._launch_and_wait(report)
        writer = _Writer(self.installation.product, self.installation.version)
        _writer_path(self._data).write_bytes(msgspec.json.encode(writer))
        return f"unix://{quote(os.fsencode(self._path))}?db=0"

    def _launch_and_wait(self, report: Report) -> None:
        self.launch()
        self.wait_until(self.is_ready, report, _START_TIMEOUT)

    def launch(self) -> None:
        settings = {
            "port": "0",
            "unixsocket": str(self._path),
            "unixsocketperm": "700",
            "dir": str(self._data.redis),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec" if self._durable else "no",
            # Evicted keys would look like a board without those players.
            "maxmemory-policy": "noeviction",
        }
        huge = sys.platform == "linux" and copies_small_pages(os.uname().release)
        if huge:
            settings["disable-thp"] = "no"
        options = [argument for name, value in settings.items() for argument in (f"--{name}", value)]
        self._data.create_private(self._data.redis, self._account)
        self.spawn([self.installation.program, *options], self._data.redis, env=_HUGE_PAGES if huge else None)

    def is_ready(self) -> bool:
        return _answers(self._path)

    @property
    def socket_path(self) -> Path:
        return self._path

    def clear(self, number: signal.Signals) -> bool:
        return leftovers.send(self._data.redis, _NAMES, number)

    def note_failed_start(self) -> None:
        """Move data away that the server cannot read: relays rebuild it."""
        if _UNREADABLE.search(self.read_log_tail(20)):
            self._move_away(log.warning, "it cannot be read")

    def _move_away(self, report: Report, why: str) -> None:
        directory = self._data.redis
        if not directory.exists():
            return
        aside = directory.with_name("redis.set-aside")
        if aside.exists():
            shutil.rmtree(aside)
        directory.rename(aside)
        report(f"moved the Redis data to {aside}, since {why}; it is rebuilt from PostgreSQL")


def _answers(path: Path) -> bool:
    """Whether a server behind the socket takes commands. It refuses them while it loads its file."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(_QUESTION)
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _writer_path(data: DataDirectory) -> Path:
    return data.runtime / "redis-made-by.json"


def _read_writer(data: DataDirectory) -> _Writer | None:
    try:
        return msgspec.json.decode(_writer_path(data).read_bytes(), type=_Writer)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
