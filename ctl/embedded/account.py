"""The system user that embedded servers run as, and what that user can reach."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from board.errors import ServerStartFailed
from board.process.children import Account

_PREFERRED = ("postgres", "nobody")


def server_account(*directories: Path) -> Account | None:
    """Who the servers run as: None means the present user; as root, an existing unprivileged one.

    The owner of the first existing one of ``directories`` stays the one, whoever has been created since.
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
        # A number without a name (another container's user) owns files just as well.
        gid = status.st_gid
    return Account(name=user_name(status.st_uid), uid=status.st_uid, gid=gid)


def user_name(uid: int) -> str:
    """The name of a user, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def name_of(account: Account | None) -> str:
    """Who the servers run as, for messages."""
    return account.name if account is not None else user_name(os.geteuid())


def blocking_directory(path: Path, account: Account | None) -> Path | None:
    """The first directory above or at ``path`` that ``account`` may not enter; None when the way is free.

    Judged by mode bits. A part that does not exist ends the search.
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
    if blocking_directory(path.parent, account) is not None:
        return False
    wanted = stat.S_IROTH | (stat.S_IXOTH if execute else 0)
    try:
        return _allowed(path.stat(), account, wanted)
    except OSError:
        return False


def _allowed(status: os.stat_result, account: Account | None, wanted: int) -> bool:
    """``wanted`` is in the bits of "others"; the kernel looks at exactly one of owner, group and others."""
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
