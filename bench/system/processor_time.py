"""Processor time of the processes of a system, by kind: workers, PostgreSQL, Redis, relays and the load generator."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from bench.system.stack import Stack

TICKS: Final = os.sysconf("SC_CLK_TCK")


class Spent(msgspec.Struct, frozen=True):
    """Seconds on a core, so far."""

    worker: float
    postgres: float
    redis: float
    relay: float
    generator: float

    def each(self, before: Spent, requests: int) -> dict[str, float]:
        """Microseconds of a request since `before`; `us` is without the generator."""
        pairs = zip(self.__struct_fields__, msgspec.structs.astuple(self), msgspec.structs.astuple(before), strict=True)
        figures = {f"{name}_us": (now - then) * 1e6 / max(1, requests) for name, now, then in pairs}
        return {"us": sum(figures.values()) - figures["generator_us"], **figures}


def spent(stack: Stack) -> Spent:
    """What all processes of a stack have used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(
        **{name: sum(map(seconds_of, pids)) for name, pids in processes(stack).items()},
        generator=children.ru_utime + children.ru_stime,
    )


def processes(stack: Stack) -> dict[str, set[int]]:
    """The processes of a stack by what they are: worker, relay, postgres, redis."""
    parents = dict(parents_of())
    mine = {pid: commandline(pid) for pid, parent in parents.items() if parent == os.getpid()}
    roots = {
        "worker": [pid for pid, argv in mine.items() if b"serve" in argv],
        "relay": [pid for pid, argv in mine.items() if b"relay" in argv],
        "postgres": [parents[stack.db.info.backend_pid]],
        "redis": [redis_pid(stack)],
    }
    return {name: tree(parents, pids) for name, pids in roots.items()}


def parents_of() -> Iterator[tuple[int, int]]:
    """Every process with its parent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def seconds_of(pid: int) -> float:
    """Time on a core of a process and of its children that have ended; 0 for one that has gone."""
    fields = stat(pid)
    return sum(int(field) for field in fields[11:15]) / TICKS if fields else 0.0


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none for a process that has gone (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def commandline(pid: int) -> list[bytes]:
    """Its arguments; none for one that has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def redis_pid(stack: Stack) -> int:
    """The server's process, as it says itself."""
    text = stack.link.call("INFO", "server").decode()
    return int(next(line for line in text.splitlines() if line.startswith("process_id:")).partition(":")[2])


def tree(parents: dict[int, int], roots: list[int]) -> set[int]:
    """These processes and all below them."""
    found = set(roots)
    while below := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= below
    return found
