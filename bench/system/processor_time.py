"""Processor time of a system by kind of process: workers, PostgreSQL, Redis, relays, load generators."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from bench.system.stack import Stack
from board.redis.replies import parse_info

TICKS: Final = os.sysconf("SC_CLK_TCK")


class ProcessorTime(msgspec.Struct, frozen=True):
    """Seconds on a core since the start, by kind of process."""

    worker: float
    postgres: float
    redis: float
    relay: float
    generator: float

    def per_request(self, before: ProcessorTime, requests: int) -> dict[str, float]:
        """Microseconds per request since `before`, by kind (``worker_us``). ``us`` is the sum without the generator."""
        pairs = zip(self.__struct_fields__, msgspec.structs.astuple(self), msgspec.structs.astuple(before), strict=True)
        figures = {f"{name}_us": (now - then) * 1e6 / max(1, requests) for name, now, then in pairs}
        return {"us": sum(figures.values()) - figures["generator_us"], **figures}


def read_processor_time(stack: Stack) -> ProcessorTime:
    """The time that all processes of a stack have used, and that finished children of this process have used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ProcessorTime(
        **{name: sum(map(cpu_seconds, pids)) for name, pids in find_processes(stack).items()},
        generator=children.ru_utime + children.ru_stime,
    )


def find_processes(stack: Stack) -> dict[str, set[int]]:
    """Process ids of a stack by kind: worker, relay, postgres, redis."""
    parents = dict(list_parents())
    mine = {pid: read_command_line(pid) for pid, parent in parents.items() if parent == os.getpid()}
    roots = {
        "worker": [pid for pid, argv in mine.items() if b"serve" in argv],
        "relay": [pid for pid, argv in mine.items() if b"relay" in argv],
        "postgres": [parents[stack.db.info.backend_pid]],
        "redis": find_redis_pids(stack),
    }
    return {name: with_descendants(parents, pids) for name, pids in roots.items()}


def list_parents() -> Iterator[tuple[int, int]]:
    """Pairs of process id and parent id, of every process of the machine."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := read_stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def cpu_seconds(pid: int) -> float:
    """Seconds on a core of a process and of its finished children; 0 for a process that has ended."""
    fields = read_stat(pid)
    return sum(int(field) for field in fields[11:15]) / TICKS if fields else 0.0


def read_stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc_pid_stat(5)); none for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def read_command_line(pid: int) -> list[bytes]:
    """The arguments of a process; none for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def find_redis_pids(stack: Stack) -> list[int]:
    """Process ids of Redis' masters, from INFO."""
    return [int(parse_info(node.call("INFO", "server"))["process_id"]) for node in stack.redis.nodes()]


def with_descendants(parents: dict[int, int], roots: list[int]) -> set[int]:
    """The processes `roots` and all their descendants. `parents` maps each process to its parent."""
    found = set(roots)
    while below := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= below
    return found
