"""The circumstances of a figure besides the code: machine, versions, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from _speedups import IMPLEMENTATION
from bench import REPOSITORY
from bench.system.programs import last_line, nginx_program, require
from board.errors import UsageError

PACKAGES: Final = ("falcon", "gunicorn", "uvicorn", "uvloop", "httptools", "psycopg", "redis", "hiredis", "msgspec")
RAM_DISKS: Final = ("tmpfs", "ramfs")
IDLE_LOAD: Final = 0.5
"""Largest one-minute load average of an idle machine."""


class Machine(msgspec.Struct, frozen=True):
    """The machine. `cores` are those that this process may use, `load` is the one-minute average at the start."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    file_system: str
    load: float

    @property
    def idle(self) -> bool:
        """Whether nothing else ran at the start."""
        return self.load <= IDLE_LOAD


class Commit(msgspec.Struct, frozen=True):
    """The commit that was measured, empty outside a repository. `dirty` means that the tree had changes, too."""

    commit: str
    dirty: bool


def read_machine(data: Path) -> Machine:
    """This machine. `data` is the directory that the servers write to."""
    return Machine(
        cpu=first_match(r"^model name\s*:\s*(.+)$", "/proc/cpuinfo") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=platform.release(),
        file_system=find_file_system(data, Path("/proc/mounts").read_text(encoding="utf-8")),
        load=round(os.getloadavg()[0], 2),
    )


def find_file_system(path: Path, mounts: str) -> str:
    """Type of the file system of a path: that of its longest mount point in `mounts`, the text of /proc/mounts."""
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        _, place, its_kind = line.split(" ")[:3]
        if path.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, its_kind
    return kind


def read_steal_seconds() -> float:
    """Seconds of all cores that the host has given to other guests since boot (steal time of proc_stat(5))."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def find_versions(found: Mapping[str, str]) -> dict[str, str]:
    """Versions of Python, programs and packages by name; `found` holds those of the servers."""
    programs = {
        "wrk": (["wrk", "-v"], r"^wrk (?:debian/)?(\S+)"),
        "pgbench": (["pgbench", "--version"], r"(\d[\w.]*)"),
        "nginx": ([nginx_program() or "nginx", "-v"], r"nginx/(\S+)"),
    }
    said = {name: find_version(argv, pattern) for name, (argv, pattern) in programs.items()}
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    # In `found`, the same name is the server.
    packages["redis-py"] = packages.pop("redis")
    return {"Python": platform.python_version(), "kernels": IMPLEMENTATION, **found, **said, **packages}


def find_version(argv: list[str], pattern: str) -> str:
    """The version that a program prints; "none" when it is not installed."""
    try:
        done = subprocess.run(argv, capture_output=True, check=False, text=True)
    except FileNotFoundError:
        return "none"
    match = re.search(pattern, done.stdout + done.stderr, re.MULTILINE)
    return match[1] if match else "unknown"


def read_head() -> str:
    """The commit that is checked out. Raises `UsageError` without git, and in a tree that is no checkout of its own."""
    require({"git": shutil.which("git")})
    argv = ["git", "rev-parse", "--show-toplevel", "HEAD"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, check=False, text=True)
    top, _, head = done.stdout.strip().rpartition("\n")
    # An unpacked archive may lie in the checkout of another project.
    if done.returncode or Path(top) != REPOSITORY:
        raise UsageError(f"{REPOSITORY} is no git checkout; {last_line(done.stderr) or f'the one of git is {top}'}")
    return head


def read_commit() -> Commit:
    """The commit of this tree. Reports in ``bench/results/`` are no changes: they do not affect figures."""
    argv = ["git", "status", "--porcelain", "--", ".", ":!bench/results"]
    try:
        head = read_head()
        changes = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
    except (UsageError, subprocess.CalledProcessError):
        return Commit("", True)
    return Commit(head, bool(changes.strip()))


def first_match(pattern: str, path: str) -> str | None:
    """The first group of the first match in a file; None without one, or without the file."""
    try:
        match = re.search(pattern, Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return match[1].strip() if match else None
