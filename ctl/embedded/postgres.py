"""The embedded PostgreSQL: one data directory, one postmaster, one Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from board.errors import DataDirectoryMajorMismatch, ServerStartFailed
from board.process.children import Account
from ctl.embedded import leftovers
from ctl.embedded.data_directory import DataDirectory
from ctl.embedded.installations import Installation
from ctl.embedded.memory import choose_shared_buffers, read_total_bytes
from ctl.embedded.server_process import Report, ServerProcess

ROLE = "leaderboard"
DATABASE = "leaderboard"

# Recovery after a power cut reads up to max_wal_size of log, which takes minutes on a slow disk.
_START_TIMEOUT = 600.0

# SIGINT is the fast shutdown: sessions are rolled back and a checkpoint is written, so the next start needs
# no recovery. SIGTERM would wait for every client to disconnect, and the service's pools never do. SIGQUIT would
# skip the checkpoint. SIGINT is right when the parent dies, too: the clients end with it.
# https://www.postgresql.org/docs/current/server-shutdown.html
_STOP_SIGNALS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))
_LEFTOVER_SIGNALS = (*_STOP_SIGNALS, (signal.SIGKILL, 10.0))
_SOCKET = ".s.PGSQL.5432"

# SSLRequest. A child of the postmaster answers with one byte, also during recovery and beyond max_connections, and
# the log says nothing of it. https://www.postgresql.org/docs/current/protocol-message-formats.html
_QUESTION = struct.pack("!ii", 8, 80877103)

# For a small machine that other processes share.
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "jit": "off",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
}


def read_data_major(directory: Path) -> int | None:
    """The PostgreSQL major version that created ``directory``; None when it is missing or empty.

    Raises ServerStartFailed for a directory with other contents.
    """
    try:
        return int((directory / "PG_VERSION").read_text().strip().partition(".")[0])
    except FileNotFoundError:
        if directory.is_dir() and any(directory.iterdir()):
            raise ServerStartFailed(
                f"{directory} is not empty and no PostgreSQL data directory;"
                " move it away, or set LEADERBOARD_DATA_DIR to another directory"
            ) from None
        return None
    except ValueError as error:
        raise ServerStartFailed(f"{directory / 'PG_VERSION'} holds no version number") from error


def choose(installations: list[Installation], directory: Path) -> Installation:
    """The best installation that can open ``directory``. Raises DataDirectoryMajorMismatch."""
    major = read_data_major(directory)
    if major is None:
        return installations[0]
    for installation in installations:
        if installation.major == major:
            return installation
    found = ", ".join(installation.label for installation in installations)
    raise DataDirectoryMajorMismatch(
        f"the data directory {directory} was made by PostgreSQL {major}, but there is only {found};"
        f" install PostgreSQL {major}, or move the data with {major}'s pg_dump and a new data directory"
        " (LEADERBOARD_DATA_DIR)"
    )


class Postgres(ServerProcess):
    """The postmaster below a data directory."""

    def __init__(
        self,
        installation: Installation,
        data: DataDirectory,
        account: Account | None,
        *,
        durable: bool,
    ) -> None:
        super().__init__(installation, data, account, "postgres", _STOP_SIGNALS, _QUESTION)
        self._directory = data.postgres
        self._unfinished = data.postgres.with_name("postgres.unfinished")
        self._pid_file = data.postgres / "postmaster.pid"
        self._sockets = data.runtime
        self._stale_pid_file: tuple[int, int] | None = None
        self._durable = durable

    def stop_leftovers(self, report: Report) -> None:
        """Stop the processes of an earlier run. Raises ServerStartFailed when they do not end."""
        for directory in (self._directory, self._unfinished):
            leftovers.stop(directory, ("postgres", "initdb"), _LEFTOVER_SIGNALS, report)

    def start(self, sockets: Path, report: Report) -> str:
        """Create the database when there is none, start the server, wait until it answers.

        Call ``stop_leftovers`` first. Returns the URL. Raises ServerStartFailed.
        """
        self._sockets = sockets
        if read_data_major(self._directory) is None:
            self._create(report)
        self.launch()
        self.wait_until(self.is_ready, report, _START_TIMEOUT)
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(os.fsencode(sockets), safe='')}"

    def launch(self) -> None:
        """Start the postmaster. It never creates a database: a data directory that has gone is no new one."""
        self._remove_stale_pid_file()
        for name in (_SOCKET, f"{_SOCKET}.lock"):
            (self._sockets / name).unlink(missing_ok=True)
        self._stale_pid_file = self._pid_file_identity()
        durable = "on" if self._durable else "off"
        settings = {
            **_SETTINGS,
            "unix_socket_directories": _quoted(self._sockets),
            "shared_buffers": choose_shared_buffers(read_total_bytes() if self._durable else 0),
            "fsync": durable,
            "full_page_writes": durable,
        }
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        self.spawn([self.installation.program, "-D", self._directory, *options], self._directory)

    @property
    def socket_path(self) -> Path:
        return self._sockets / _SOCKET

    def clear(self, number: signal.Signals) -> bool:
        return leftovers.send(self._directory, ("postgres",), number)

    def note_failed_start(self) -> None:
        """Nothing to do: the next start finds the same data."""

    def _create(self, report: Report) -> None:
        # Under another name until it is complete: a directory with the final name can be started.
        report(f"creating a {self.installation.product} data directory in {self._directory}")
        unfinished = self._unfinished
        if unfinished.exists():
            shutil.rmtree(unfinished)
        self._data.create_private(unfinished, self._account)
        initdb: list[str | Path] = [
            self.installation.program.with_name("initdb"),
            *("-D", unfinished, "--username", ROLE, "--encoding=UTF8", "--locale=C", "--data-checksums"),
            # No password: the mode of the socket directory decides who may connect. TCP is refused twice.
            *("--auth-local=trust", "--auth-host=reject", "--no-instructions"),
            *(() if self._durable else ("--no-sync",)),
        ]
        self._run(initdb, unfinished, "")
        # Without exit_on_error a single-user PostgreSQL continues after an error and ends with status 0.
        single: list[str | Path] = [
            self.installation.program,
            *("--single", "-D", unfinished, "-c", "exit_on_error=on", "postgres"),
        ]
        self._run(single, unfinished, f"CREATE DATABASE {DATABASE};\n")
        os.rename(unfinished, self._directory)
        _sync_directory(self._directory.parent)

    def _run(self, argv: list[str | Path], directory: Path, script: str) -> None:
        process = self.spawn(argv, directory, subprocess.PIPE)
        try:
            process.communicate(script.encode(), timeout=_START_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.stop()
            self.fail(f"did not finish {Path(argv[0]).name} in {_START_TIMEOUT:.0f} seconds")
        if process.returncode != 0:
            self.fail(f"could not create {self._directory}")

    def is_ready(self) -> bool:
        # The postmaster writes its state into the eighth line, and pg_ctl waits for it, too:
        # https://www.postgresql.org/docs/current/storage-file-layout.html (postmaster.pid).
        # The file of a crash may say "ready" for the same pid: in a container the numbers repeat.
        if self._pid_file_identity() in (None, self._stale_pid_file):
            return False
        try:
            lines = self._pid_file.read_text().splitlines()
        except FileNotFoundError:  # the server is ending
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _pid_file_identity(self) -> tuple[int, int] | None:
        try:
            status = self._pid_file.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _remove_stale_pid_file(self) -> None:
        """Remove a pid file whose pid now belongs to another program: PostgreSQL would refuse to start.

        Call it when no PostgreSQL works in the directory. A file with a dead pid stays: PostgreSQL handles it
        itself, and also looks for shared memory in use.
        """
        with suppress(FileNotFoundError):
            first = self._pid_file.read_text().partition("\n")[0].strip()
            if not first.isdigit() or Path("/proc", first).exists():
                self._pid_file.unlink()


def _quoted(path: Path) -> str:
    """The path as one entry of a list setting: quotes keep commas and blanks in it."""
    return '"' + str(path).replace('"', '""') + '"'


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
