"""The original system: its figures come from another machine, and are scaled to this one."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Final

PGBENCH: Final = 11_000.0
"""Transactions a second where the original was measured: two inserts, 50 clients."""


READ_LINES: Final = {"zrevrank": 160_000.0, "zrevrange": 47_000.0, "nginx": 175_000.0}
"""Answers a second of the servers below the reads, on that same machine."""


def write_scale(lines: Mapping[str, float]) -> float | None:
    """How fast this machine is beside the one of the original, for writes; None without the pgbench line."""
    return lines["pgbench"] / PGBENCH if "pgbench" in lines else None


def read_scale(lines: Mapping[str, float]) -> float | None:
    """The same for reads: the geometric mean of the lines there are, None unless both of Redis are there."""
    if "zrevrank" not in lines or "zrevrange" not in lines:
        return None
    return statistics.geometric_mean(lines[name] / base for name, base in READ_LINES.items() if name in lines)


def ratio(ours: float, theirs: float, *, lower_is_better: bool = False) -> float:
    """How many times better ours is; above 1 is better for us whichever way the figure counts."""
    return theirs / ours if lower_is_better else ours / theirs


def name_other_servers(versions: Mapping[str, str]) -> str:
    """The servers that are not of the versions the original ran on, empty when both are."""
    same = {"postgresql": "15.", "redis": "7.0."}
    names = ("postgresql", "redis", "valkey")
    return ", ".join(
        f"{name} {versions[name]}"
        for name in names
        if name in versions and not (name in same and versions[name].startswith(same[name]))
    )
