"""How much memory this machine, or the container around us, has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")

_MIB: Final = 1 << 20
# PostgreSQL's own default, and what is left to others on a machine that is not the database's alone.
_BUFFERS_LEAST_MIB: Final = 128
_BUFFERS_MOST_MIB: Final = 4096


def total_bytes(limit: Path = _LIMIT) -> int:
    """Physical memory, or the limit of the control group when that is less (cgroup v2, memory.max)."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # There is no such file without version 2, and it says "max" without a limit.
    with suppress(OSError, ValueError):
        found = min(found, int(limit.read_text()))
    return found


def shared_buffers(total: int) -> str:
    """PostgreSQL's setting: a quarter of the memory, as its manual advises, within bounds.

    https://www.postgresql.org/docs/current/runtime-config-resource.html
    """
    return f"{min(max(total // 4 // _MIB, _BUFFERS_LEAST_MIB), _BUFFERS_MOST_MIB)}MB"
