"""One round of the benchmark: measures each selected row once."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from typing import Final

from bench.rows import (
    budget,
    calibration,
    disk,
    drain,
    fair_play,
    live,
    memory,
    open_loop,
    past,
    read,
    refusals,
    submit,
    visibility,
)
from bench.rows.figures import Results
from bench.system.programs import redis_benchmark
from bench.system.run_options import RunOptions

POSTS: Final = (
    *("post", "post_hot", "post_best", "post_columns", "post_feeds_4"),
    *("post_seasons", "post_operators", "batch", "post_keys", "post_limited"),
)


def find_programs(wanted: Collection[str]) -> dict[str, str | None]:
    """Paths of the programs that these rows need, by name; None for a program that is not installed."""
    needed: dict[str, str | None] = {}
    if "pgbench" in wanted:
        needed["pgbench"] = shutil.which("pgbench")
    if {"zrevrank", "zrevrange"} & set(wanted):
        needed["redis-benchmark"] = redis_benchmark()
    if {
        "nginx",
        "live_posts",
        "mixed",
        "curve",
        "disk",
        "past_rank",
        "void",
        *POSTS,
        *budget.NAMES,
        *read.NAMES,
        *refusals.NAMES,
    } & set(wanted):
        needed["wrk"] = shutil.which("wrk")
    return needed


def measure_round(options: RunOptions, wanted: Collection[str]) -> Results:
    """Measure each row of `wanted` once. Rows that read one board share its servers; all others get new ones."""
    calibrations = [name for name in calibration.NAMES if name in wanted]
    if calibrations:
        yield from calibration.measure(options, calibrations)
    for name in POSTS:
        if name in wanted:
            yield from submit.measure(options, name)
    if set(memory.NAMES) & set(wanted):
        yield from memory.measure(options, wanted)
    if "disk" in wanted:
        yield from disk.measure(options)
    if {"rebuild", *read.NAMES} & set(wanted):
        yield from read.measure(options, wanted)
    if set(past.NAMES) & set(wanted):
        yield from past.measure(options, wanted)
    if set(fair_play.NAMES) & set(wanted):
        yield from fair_play.measure(options, wanted)
    if set(refusals.NAMES) & set(wanted):
        yield from refusals.measure(options, wanted)
    for name in drain.SEASONS:
        if name in wanted:
            yield from drain.measure(options, name)
    if {"visible_idle", "visible_busy", "visible_5000"} & set(wanted):
        yield from visibility.measure(options, wanted)
    for name in live.NAMES:
        if name in wanted:
            yield from live.measure(options, name)
    if "mixed" in wanted:
        yield from open_loop.measure_mixed(options)
    if "curve" in wanted:
        yield from open_loop.measure_curve(options)
    if set(budget.NAMES) & set(wanted):
        yield from budget.measure(options, wanted)
