"""The kernels by pyperf: each side is timed in processes of its own, and sides that differ are told."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from support.absent import absent
from support.repository import REPOSITORY

from bench.cases import Case, Side, all_cases, differing


def test_every_side_of_a_case_is_timed(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyperf") is None:
        absent("pyperf is not installed (extra bench)")
    if importlib.util.find_spec("_speedups._c") is None:
        pytest.skip("the kernels are not compiled")
    import pyperf

    file = tmp_path / "kernels.json"
    argv = [
        sys.executable,
        "-m",
        "bench.perf",
        "--only",
        "render_items",
        "--window",
        "5",
        "--debug-single-value",
        "-o",
        file,
    ]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-1000:]
    names = pyperf.BenchmarkSuite.load(str(file)).get_benchmark_names()
    assert names == [f"render_items: {side.name}" for side in all_cases(1, 5)[4].sides]


def test_sides_that_give_other_bytes_are_named() -> None:
    sides = [
        Side("C kernel", "all", lambda: b"x"),
        Side("twin", "all", lambda: b"x"),
        Side("rival", "all", lambda: b"y"),
    ]
    assert differing(Case("case", 1, sides)) == ["rival"]


def test_all_sides_give_equal_bytes() -> None:
    if importlib.util.find_spec("_speedups._c") is None:
        pytest.skip("the kernels are not compiled")
    assert [differing(case) for case in all_cases(50, 10)] == [[]] * 6
