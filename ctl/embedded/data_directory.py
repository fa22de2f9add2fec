"""The data directory: its layout, owner, lock, sockets and logs.

``postgres/`` and ``redis/`` belong to the user that runs the servers, the rest to the user that runs the command.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from board.errors import DataDirectoryLocked, InvalidSetting, ServerStartFailed
from board.process.children import Account
from ctl.embedded.account import describe_account, find_blocking_directory, read_user_name

# sizeof(sockaddr_un.sun_path) less the closing NUL: unix(7), and unix(4) of the BSDs.
_LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
_LONGEST_NAME = ".s.PGSQL.5432"
_SOCKET_PREFIX = "leaderboard-"


class DataDirectory:
    """Paths below one data directory. Creates the directory and its fixed parts. Raises InvalidSetting."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.postgres = self.root / "postgres"
        self.redis = self.root / "redis"
        self.runtime = self.root / "runtime"
        self.log = self.root / "log"
        try:
            _make_root(self.root)
            _require_owner(self.root, os.geteuid())
            for part, mode in ((self.runtime, 0o711), (self.log, 0o700)):
                _make(part, mode)
        except OSError as error:
            raise InvalidSetting(
                f"the data directory {self.root} cannot be written ({error.strerror}: {error.filename});"
                " set LEADERBOARD_DATA_DIR to a directory of your own"
            ) from error

    def create_private(self, directory: Path, account: Account | None) -> None:
        """Create ``directory`` if missing, with mode 0700 for ``account``. Raises ServerStartFailed."""
        if directory.is_dir():
            return
        directory.mkdir(mode=0o700)
        _chown(directory, account)

    def require_access(self, account: Account | None) -> None:
        """Raise InvalidSetting if ``account`` may not enter the data directory or does not own its parts."""
        blocker = find_blocking_directory(self.root, account)
        if blocker is not None:
            raise InvalidSetting(
                f"the servers run as the user {describe_account(account)}, which may not enter {blocker}, so they"
                f" cannot use the data directory {self.root}; set LEADERBOARD_DATA_DIR to a directory outside of it"
            )
        for part in (self.postgres, self.redis):
            if part.exists():
                _require_owner(part, os.geteuid() if account is None else account.uid)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the data directory against a second instance. Raises DataDirectoryLocked.

        The kernel drops the lock with this process, so there is no stale one; servers never inherit it.
        """
        path = self.root / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidSetting(f"the lock file {path} cannot be opened: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise DataDirectoryLocked(
                    f"the data directory {self.root} is in use by another leaderboard, process {holder};"
                    " stop it, or set LEADERBOARD_DATA_DIR to another directory"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    @contextmanager
    def sockets(self, account: Account | None) -> Iterator[Path]:
        """A directory for Unix sockets that only the servers' user and root may enter.

        It is below the data directory, or a temporary one where paths there are too long for a socket. Raises
        InvalidSetting if there is no short path.
        """
        usual = self.runtime / "sockets"
        note = self.runtime / "sockets-elsewhere"
        _remove_noted(note)
        if _fits(usual):
            # Created for each run: without old sockets, and for the user of this run.
            if usual.exists():
                shutil.rmtree(usual)
            self.create_private(usual, account)
            yield usual
            return
        short = _short_directory(account)
        try:
            note.write_text(str(short))
            yield short
        finally:
            _remove_noted(note)

    def open_log(self, name: str) -> int:
        """A descriptor that appends to ``log/<name>.log``; servers get it as their standard error."""
        path = self.log_path(name)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(path, flags, 0o600)

    def log_path(self, name: str) -> Path:
        """The file that ``open_log`` opens."""
        return self.log / f"{name}.log"


def _make_root(root: Path) -> None:
    # Modes independent of the umask: the servers' user has to pass through root's directory, and cannot list it.
    as_root = os.geteuid() == 0
    for parent in reversed(root.parents):
        _make(parent, 0o755 if as_root else None)
    _make(root, 0o711 if as_root else 0o700)


def _make(directory: Path, mode: int | None) -> None:
    """Create a directory with exactly ``mode`` (None: by the umask); an existing one keeps its own."""
    if directory.is_dir():
        return
    try:
        directory.mkdir()
    except FileExistsError:
        return  # another instance was faster; the lock decides which one continues
    if mode is not None:
        directory.chmod(mode)


def _chown(directory: Path, account: Account | None) -> None:
    if account is None:
        return
    try:
        os.chown(directory, account.uid, account.gid, follow_symlinks=False)
    except OSError as error:
        raise ServerStartFailed(
            f"{directory} cannot be given to the user {account.name} ({error.strerror});"
            " run leaderboard as an ordinary user, or set DATABASE_URL and REDIS_URL"
        ) from error


def _require_owner(directory: Path, uid: int) -> None:
    # Links in another user's directory could lead root anywhere; an ordinary user could not write there.
    owner = directory.stat().st_uid
    if owner != uid:
        raise InvalidSetting(
            f"the data directory {directory} belongs to {read_user_name(owner)}, not to {read_user_name(uid)};"
            f" run leaderboard as {read_user_name(owner)}, or set LEADERBOARD_DATA_DIR to another directory"
        )


def _fits(directory: Path) -> bool:
    # libpq reads a comma in "host" as the end of one host.
    return "," not in str(directory) and len(os.fsencode(directory / _LONGEST_NAME)) <= _LONGEST_SOCKET


def _short_directory(account: Account | None) -> Path:
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        candidate = Path(os.path.realpath(base))
        if not _fits(candidate / f"{_SOCKET_PREFIX}12345678") or not os.access(candidate, os.W_OK | os.X_OK):
            continue
        if find_blocking_directory(candidate, account) is not None:
            continue
        directory = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=candidate))
        _chown(directory, account)
        return directory
    raise InvalidSetting(
        f"no temporary directory is short enough for Unix sockets (at most {_LONGEST_SOCKET} bytes) and open"
        " to the servers' user; set LEADERBOARD_DATA_DIR to a shorter path"
    )


def _remove_noted(note: Path) -> None:
    """Remove the temporary socket directory of this or an earlier run."""
    try:
        directory = Path(note.read_text())
    except FileNotFoundError:
        return
    if directory.name.startswith(_SOCKET_PREFIX):
        # A cleaner of temporary directories may have been faster.
        with suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(directory)
    note.unlink()


def read_tail(path: Path, start: int, lines: int) -> str:
    """The last lines of a log from byte ``start`` on, joined by " | "; empty when there are none."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(start if start <= size else 0, size - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())


def bound_log(path: Path, limit: int = 16 * 1024 * 1024) -> None:
    """Keep a log within ``limit`` bytes, and one older part beside it.

    Copied and truncated, not renamed: the server appends to the open file. Raises OSError if there is no room for the
    copy, or the files cannot be written; the log and its older part are then as before.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    if status.st_size <= limit:
        return
    file_system = os.statvfs(path.parent)
    if file_system.f_bavail * file_system.f_frsize < status.st_size:
        # Not even tried: a copy that breaks off would take the servers' last room meanwhile.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)  # of a run that was killed
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with path.open("rb") as source, open(descriptor, "wb") as target:
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            shutil.copyfileobj(source, target)
        part.replace(path.with_name(path.name + ".1"))
        os.truncate(path, 0)
    finally:
        part.unlink(missing_ok=True)
