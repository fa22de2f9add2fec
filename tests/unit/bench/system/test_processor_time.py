"""Processor time by process: children count for their parents, and a request has a cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bench.system import processor_time
from bench.system.processor_time import ProcessorTime


def test_a_tree_is_a_process_and_all_below_it() -> None:
    parents = {2: 1, 3: 2, 4: 3, 5: 1, 6: 5}
    assert processor_time.with_descendants(parents, [2]) == {2, 3, 4}
    assert processor_time.with_descendants(parents, [3, 5]) == {3, 4, 5, 6}
    assert processor_time.with_descendants(parents, []) == set()


def test_figures_are_microseconds_of_a_request_without_the_generator() -> None:
    before = ProcessorTime(1.0, 2.0, 3.0, 4.0, 5.0)
    after = ProcessorTime(1.5, 2.25, 3.125, 4.125, 9.0)
    figures = after.per_request(before, 10_000)
    assert figures == {
        "us": 100.0, "worker_us": 50.0, "postgres_us": 25.0, "redis_us": 12.5, "relay_us": 12.5, "generator_us": 400.0,
    }  # fmt: skip


def test_a_process_that_works_uses_time_and_one_that_has_gone_none() -> None:
    until = time.process_time() + 0.1
    before = processor_time.cpu_seconds(os.getpid())
    while time.process_time() < until:
        pass
    # The kernel counts in ticks of a hundredth.
    assert processor_time.cpu_seconds(os.getpid()) - before > 0.05
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert (child.pid, os.getpid()) in set(processor_time.list_parents())
        assert processor_time.read_command_line(child.pid)[1] == b"-c"
        child.communicate(b"\n")
    assert processor_time.cpu_seconds(child.pid) == 0.0 and processor_time.read_command_line(child.pid) == []
