"""Processor time by process: children count for their parents, and a request has a cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bench import budget
from bench.budget import Spent


def test_a_tree_is_a_process_and_all_below_it() -> None:
    parents = {2: 1, 3: 2, 4: 3, 5: 1, 6: 5}
    assert budget.tree(parents, [2]) == {2, 3, 4}
    assert budget.tree(parents, [3, 5]) == {3, 4, 5, 6}
    assert budget.tree(parents, []) == set()


def test_figures_are_microseconds_of_a_request_without_the_generator() -> None:
    before = Spent(1.0, 2.0, 3.0, 4.0, 5.0)
    after = Spent(1.5, 2.25, 3.125, 4.125, 9.0)
    figures = after.each(before, 10_000)
    assert figures == {
        "us": 100.0, "worker_us": 50.0, "postgres_us": 25.0, "redis_us": 12.5, "relay_us": 12.5, "generator_us": 400.0,
    }  # fmt: skip


def test_a_process_that_works_uses_time_and_one_that_has_gone_none() -> None:
    until = time.process_time() + 0.1
    before = budget.seconds_of(os.getpid())
    while time.process_time() < until:
        pass
    # The kernel counts in ticks of a hundredth.
    assert budget.seconds_of(os.getpid()) - before > 0.05
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert (child.pid, os.getpid()) in set(budget.parents_of())
        assert budget.commandline(child.pid)[1] == b"-c"
        child.communicate(b"\n")
    assert budget.seconds_of(child.pid) == 0.0 and budget.commandline(child.pid) == []
