"""The original system, leaderboard-go: its figures come from another machine, and are scaled to this one.

Source: https://github.com/disfordave/leaderboard-go, by disfordave, commit 1f5f006.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Final

NAME: Final = "leaderboard-go"
PLACE: Final = "github.com/disfordave/leaderboard-go"
COMMIT: Final = "1f5f006"
PGBENCH: Final = 11_000.0
"""Transactions per second of pgbench on the machine of the original: two inserts, 50 clients."""
READ_LINES: Final = {"zrevrank": 160_000.0, "zrevrange": 47_000.0, "nginx": 175_000.0}
"""Answers per second of the servers behind the reads, on the same machine."""


def write_scale(lines: Mapping[str, float]) -> float | None:
    """Speed of this machine for writes, relative to the machine of the original.

    `lines` has the calibration in answers per second. None without ``pgbench``.
    """
    return lines["pgbench"] / PGBENCH if "pgbench" in lines else None


def read_scale(lines: Mapping[str, float]) -> float | None:
    """Speed of this machine for reads: the geometric mean of the calibration rows. None without those of Redis."""
    if "zrevrank" not in lines or "zrevrange" not in lines:
        return None
    return statistics.geometric_mean(lines[name] / base for name, base in READ_LINES.items() if name in lines)


def ratio(ours: float, theirs: float, *, lower_is_better: bool = False) -> float:
    """How many times better `ours` is than `theirs`; above 1, ours is better."""
    return theirs / ours if lower_is_better else ours / theirs


def name_other_servers(versions: Mapping[str, str]) -> str:
    """The servers whose versions differ from those of the original, PostgreSQL 15 and Redis 7.0; empty without any."""
    same = {"postgresql": "15.", "redis": "7.0."}
    names = ("postgresql", "redis", "valkey")
    return ", ".join(
        f"{name} {versions[name]}"
        for name in names
        if name in versions and not (name in same and versions[name].startswith(same[name]))
    )
