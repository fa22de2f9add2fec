"""One round: measures each row that is wanted once."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from typing import Final

from bench.rows import budget, calibration, disk, drain, memory, open_loop, read, refusals, submit, visibility
from bench.rows.figures import Results
from bench.system.programs import redis_benchmark
from bench.system.run_options import Plan

POSTS: Final = ("post", "post_hot", "batch", "post_keys", "post_limited")


def find_programs(wanted: Collection[str]) -> dict[str, str | None]:
    """Outside programs these rows need, and where they are: None when missing."""
    needed: dict[str, str | None] = {}
    if "pgbench" in wanted:
        needed["pgbench"] = shutil.which("pgbench")
    if {"zrevrank", "zrevrange"} & set(wanted):
        needed["redis-benchmark"] = redis_benchmark()
    if {"nginx", "mixed", "curve", "disk", *POSTS, *budget.NAMES, *read.NAMES, *refusals.NAMES} & set(wanted):
        needed["wrk"] = shutil.which("wrk")
    return needed


def measure_round(plan: Plan, wanted: Collection[str]) -> Results:
    """Measure each wanted row once. Rows that share a board share servers; all others get fresh ones."""
    lines = [name for name in ("pgbench", "zrevrank", "zrevrange", "nginx") if name in wanted]
    if lines:
        yield from calibration.measure(plan, lines)
    for name in POSTS:
        if name in wanted:
            yield from submit.measure(plan, name)
    if "memory" in wanted:
        yield from memory.measure(plan)
    if "disk" in wanted:
        yield from disk.measure(plan)
    if {"rebuild", *read.NAMES} & set(wanted):
        yield from read.measure(plan, wanted)
    if set(refusals.NAMES) & set(wanted):
        yield from refusals.measure(plan, wanted)
    for name in drain.SEASONS:
        if name in wanted:
            yield from drain.measure(plan, name)
    if {"visible_idle", "visible_busy", "visible_5000"} & set(wanted):
        yield from visibility.measure(plan, wanted)
    if "mixed" in wanted:
        yield from open_loop.mixed(plan)
    if "curve" in wanted:
        yield from open_loop.curve(plan)
    if set(budget.NAMES) & set(wanted):
        yield from budget.measure(plan, wanted)
