"""The running instance of a data directory: its addresses in a file, by which other commands find it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from board.errors import InvalidSetting
from ctl.embedded.account import read_user_name


class Instance(msgspec.Struct, frozen=True):
    """A process of `leaderboard run`: its id, its start in ticks since the boot, and the settings that lead to it."""

    pid: int
    started: int
    settings: dict[str, str]


@contextmanager
def publish(data_dir: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Let other commands find this process by its data directory, inside the block. Raises OSError.

    Call it under the lock of the data directory.
    """
    path = _instance_path(data_dir)
    started = read_start(os.getpid())
    if started is None:
        # Without /proc a file that a killed process left could not be told from this one.
        yield
        return
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(Instance(os.getpid(), started, dict(settings))))
    part.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_instance(data_dir: Path) -> Instance | None:
    """The instance that runs on this data directory; None if there is none.

    Raises InvalidSetting for one that belongs to another user.
    """
    path = _instance_path(data_dir)
    try:
        instance = msgspec.json.decode(path.read_bytes(), type=Instance)
    except PermissionError as error:
        with suppress(OSError):
            owner = read_user_name(path.stat().st_uid)
            raise InvalidSetting(
                f"the leaderboard in {data_dir} belongs to {owner}; run this command as {owner}, or set DATABASE_URL"
            ) from error
        return None
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None
    return instance if read_start(instance.pid) == instance.started else None


def read_start(pid: int) -> int | None:
    """When a process started, in ticks since the boot; None if there is no such process, or no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the name in brackets, which may contain spaces and brackets (proc_pid_stat(5)).
    return int(stat.rpartition(")")[2].split()[19])


def _instance_path(data_dir: Path) -> Path:
    return data_dir / "runtime" / "instance.json"
