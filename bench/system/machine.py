"""What a figure depends on besides the code: machine, versions, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from _speedups import IMPLEMENTATION
from bench import REPOSITORY
from bench.system.programs import nginx_program

PACKAGES: Final = ("falcon", "gunicorn", "uvicorn", "uvloop", "httptools", "psycopg", "redis", "hiredis", "msgspec")
RAM_DISKS: Final = ("tmpfs", "ramfs")


class Machine(msgspec.Struct, frozen=True):
    """`cores` are those this process may use, `load` is the one-minute average when the run began."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    file_system: str
    load: float


class Commit(msgspec.Struct, frozen=True):
    """What was measured; `dirty` says that the tree had changes beside it. `commit` is empty outside a repository."""

    commit: str
    dirty: bool


def machine(data: Path) -> Machine:
    """This one; `data` is the directory the servers write to."""
    return Machine(
        cpu=first_match(r"^model name\s*:\s*(.+)$", "/proc/cpuinfo") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=platform.release(),
        file_system=file_system(data, Path("/proc/mounts").read_text(encoding="utf-8")),
        load=round(os.getloadavg()[0], 2),
    )


def file_system(path: Path, mounts: str) -> str:
    """Type of the file system a path is on, by the longest mount point above it."""
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        _, place, its_kind = line.split(" ")[:3]
        if path.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, its_kind
    return kind


def steal() -> float:
    """Seconds that this machine's host has given to others since boot, all cores together."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def versions(found: Mapping[str, str]) -> dict[str, str]:
    """Programs and packages; `found` holds those of the servers."""
    programs = {
        "wrk": (["wrk", "-v"], r"^wrk (?:debian/)?(\S+)"),
        "pgbench": (["pgbench", "--version"], r"(\d[\w.]*)"),
        "nginx": ([nginx_program() or "nginx", "-v"], r"nginx/(\S+)"),
    }
    said = {name: version_of(argv, pattern) for name, (argv, pattern) in programs.items()}
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    # The server of that name is in `found`.
    packages["redis-py"] = packages.pop("redis")
    return {"Python": platform.python_version(), "kernels": IMPLEMENTATION, **found, **said, **packages}


def version_of(argv: list[str], pattern: str) -> str:
    """What a program says of itself; "none" when it is not installed."""
    try:
        done = subprocess.run(argv, capture_output=True, check=False, text=True)
    except FileNotFoundError:
        return "none"
    match = re.search(pattern, done.stdout + done.stderr, re.MULTILINE)
    return match[1] if match else "unknown"


def commit() -> Commit:
    """The commit of this tree."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, check=True, text=True
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "status", "--porcelain"], cwd=REPOSITORY, capture_output=True, check=True, text=True
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return Commit("", True)
    return Commit(head, bool(changes.strip()))


def first_match(pattern: str, path: str) -> str | None:
    """The first group of the first match in a file."""
    try:
        match = re.search(pattern, Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return match[1].strip() if match else None
