"""The memory of this machine or container, and PostgreSQL's share of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")

_MIB: Final = 1 << 20
# PostgreSQL's default, and a bound that leaves memory to the other processes of a large machine.
_BUFFERS_LEAST_MIB: Final = 128
_BUFFERS_MOST_MIB: Final = 4096


def read_total_bytes(limit: Path = _LIMIT) -> int:
    """Physical memory in bytes, or the limit of the control group when that is less (cgroup v2, memory.max)."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # Without cgroup v2 there is no such file; without a limit it says "max".
    with suppress(OSError, ValueError):
        found = min(found, int(limit.read_text()))
    return found


def choose_shared_buffers(total: int) -> str:
    """PostgreSQL's setting for ``total`` bytes: a quarter of the memory, as its manual advises, within bounds.

    https://www.postgresql.org/docs/current/runtime-config-resource.html
    """
    return f"{min(max(total // 4 // _MIB, _BUFFERS_LEAST_MIB), _BUFFERS_MOST_MIB)}MB"
