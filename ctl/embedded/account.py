"""The system user that runs the embedded servers, and the files it can reach."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from board.errors import ServerStartFailed
from board.process.children import Account

_PREFERRED = ("postgres", "nobody")


def choose_account(*directories: Path) -> Account | None:
    """The user that runs the servers: None means the current user; for root it is an existing unprivileged one.

    The owner of the first of ``directories`` that exists comes first, so that a data directory keeps its user.
    Raises ServerStartFailed if root finds no such user.
    """
    if os.geteuid() != 0:
        return None
    for directory in directories:
        try:
            status = directory.lstat()
        except FileNotFoundError:
            continue
        if status.st_uid != 0:
            return _owner_account(status)
    for name in _PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise ServerStartFailed(
        "PostgreSQL refuses to run as root and there is neither a user postgres nor nobody on this machine;"
        " run leaderboard as an ordinary user, or set DATABASE_URL and REDIS_URL"
    )


def _owner_account(status: os.stat_result) -> Account:
    try:
        gid = pwd.getpwuid(status.st_uid).pw_gid
    except KeyError:
        # A uid without a name (another container's user) can own files, too.
        gid = status.st_gid
    return Account(name=read_user_name(status.st_uid), uid=status.st_uid, gid=gid)


def read_user_name(uid: int) -> str:
    """The name of a user, or ``uid <number>`` where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def describe_account(account: Account | None) -> str:
    """The name of the user that runs the servers, for messages."""
    return account.name if account is not None else read_user_name(os.geteuid())


def find_blocking_directory(path: Path, account: Account | None) -> Path | None:
    """The first directory above or at ``path`` that ``account`` may not enter, by its mode bits; else None.

    A part that does not exist ends the search.
    """
    resolved = Path(os.path.realpath(path))
    for directory in [*reversed(resolved.parents), resolved]:
        try:
            status = directory.stat()
        except FileNotFoundError:
            return None
        except PermissionError:
            return directory.parent
        if not stat.S_ISDIR(status.st_mode):
            return None
        if not _allowed(status, account, stat.S_IXOTH):
            return directory
    return None


def can_use(path: Path, account: Account | None, *, execute: bool = False) -> bool:
    """Whether ``account`` can reach and read (and run) the file."""
    if find_blocking_directory(path.parent, account) is not None:
        return False
    wanted = stat.S_IROTH | (stat.S_IXOTH if execute else 0)
    try:
        return _allowed(path.stat(), account, wanted)
    except OSError:
        return False


def _allowed(status: os.stat_result, account: Account | None, wanted: int) -> bool:
    """Whether the mode allows ``wanted``, given as the bits of "others".

    As in the kernel, exactly one of owner, group and others counts.
    """
    if account is None:
        uid, groups = os.geteuid(), {os.getegid(), *os.getgroups()}
    else:
        uid, groups = account.uid, {account.gid}
    if uid == 0:
        return True
    if status.st_uid == uid:
        shift = 6
    elif status.st_gid in groups:
        shift = 3
    else:
        shift = 0
    return (status.st_mode >> shift) & wanted == wanted
