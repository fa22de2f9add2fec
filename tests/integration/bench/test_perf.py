"""The kernels by pyperf: each implementation has processes of its own, and those that differ are named."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from support.absent import absent
from support.repository import REPOSITORY

from bench.kernels.cases import Case, Implementation, find_differing, make_cases


@pytest.mark.walk
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
        "bench",
        "perf",
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
    (case,) = (case for case in make_cases(1, 5) if case.name == "render_items")
    assert names == [f"render_items: {implementation.name}" for implementation in case.implementations]


def test_sides_that_give_other_bytes_are_named() -> None:
    implementations = [
        Implementation("C kernel", "all", lambda: b"x"),
        Implementation("twin", "all", lambda: b"x"),
        Implementation("rival", "all", lambda: b"y"),
    ]
    assert find_differing(Case("case", 1, implementations)) == ["rival"]


def test_all_sides_give_equal_bytes() -> None:
    if importlib.util.find_spec("_speedups._c") is None:
        pytest.skip("the kernels are not compiled")
    cases = make_cases(50, 10)
    assert cases and {case.name: find_differing(case) for case in cases} == {case.name: [] for case in cases}
