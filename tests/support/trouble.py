"""Troubles of a Redis that a test has for itself: each makes it refuse commands, and takes that back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from support.waiting import eventually
from support.world import World

USER: Final = "lb"
"""The user of every process in a world on such a Redis; the test itself is the default user."""
PASSWORD: Final = "secret"
RIGHTS: Final = ("+@read", "+@write", "+@scripting", "+@connection", "+@blocking", "+time")


class OwnRedis(NamedTuple):
    """A Redis that a test has for itself: a world on it, and the directory of its data."""

    world: World
    directory: Path

    def trouble(self, kind: str) -> AbstractContextManager[None]:
        """The trouble of this name; it lasts as long as the block."""
        return TROUBLES[kind](self.world.redis, self.directory)


def admit_user(redis: Any, prefix: str) -> None:
    """Make the user of the processes, with the rights that docs/ops/install.md names."""
    redis.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", f"~{prefix}:*", "-@all", *RIGHTS)


@contextmanager
def out_of_memory(redis: Any, directory: Path) -> Iterator[None]:
    """Every write that may need memory is refused: OOM."""
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


@contextmanager
def demoted(redis: Any, directory: Path) -> Iterator[None]:
    """The master becomes a replica of a node that is not there: it answers reads, and writes with READONLY."""
    redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        redis.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def denied(redis: Any, command: str) -> Iterator[None]:
    """The user may not run a command."""
    redis.execute_command("ACL", "SETUSER", USER, f"-{command}")
    try:
        yield
    finally:
        redis.execute_command("ACL", "SETUSER", USER, f"+{command}")


@contextmanager
def without_rights(redis: Any, directory: Path) -> Iterator[None]:
    """The user may not write sorted sets: an error inside the scripts."""
    with denied(redis, "zadd"):
        yield


@contextmanager
def without_scripts(redis: Any, directory: Path) -> Iterator[None]:
    """The user may not run scripts that write: NOPERM."""
    with denied(redis, "evalsha"):
        yield


@contextmanager
def unsaved(redis: Any, directory: Path) -> Iterator[None]:
    """The last snapshot could not be written: MISCONF."""
    blocked = directory / "dump.rdb" / "in the way"
    blocked.mkdir(parents=True)
    try:
        redis.config_set("save", "3600 1000000")
        snapshot(redis, "err")
        yield
    finally:
        shutil.rmtree(blocked.parent)
        snapshot(redis, "ok")
        redis.config_set("save", "")


def snapshot(redis: Any, status: str) -> None:
    """Save in the background until the outcome is this."""

    def saved() -> bool:
        state = redis.info("persistence")
        if state["rdb_bgsave_in_progress"] or state["aof_rewrite_in_progress"]:
            return False
        if state["rdb_last_bgsave_status"] == status:
            return True
        redis.bgsave()
        return False

    eventually(saved)


Trouble = Callable[[Any, Path], AbstractContextManager[None]]

TROUBLES: Final[dict[str, Trouble]] = {
    "out of memory": out_of_memory,
    "demoted": demoted,
    "without rights": without_rights,
    "without scripts": without_scripts,
    "unsaved": unsaved,
}
