"""Two commits against each other: noise is no difference, and a difference is told with its interval."""

from __future__ import annotations

import json
import random

import pytest

from bench.kernels import callgrind
from bench.rows import catalog
from bench.tools import compare
from board.errors import UsageError


def row(name: str) -> catalog.Row:
    return next(row for row in catalog.ROWS if row.name == name)


def noisy(middle: float, seed: int) -> list[float]:
    dice = random.Random(seed)
    return [middle * dice.uniform(0.95, 1.05) for _ in range(10)]


def test_noise_is_no_difference_and_a_difference_is_told() -> None:
    same = compare.compare_rounds(row("post"), noisy(100, 1), noisy(100, 2), 1)
    assert same.verdict == "no difference" and same.low < 1 < same.high
    better = compare.compare_rounds(row("post"), noisy(100, 1), noisy(120, 2), 1)
    assert better.verdict == "B is better" and 1.1 < better.low <= better.ratio <= better.high < 1.3
    worse = compare.compare_rounds(row("post"), noisy(100, 1), noisy(80, 2), 1)
    assert worse.verdict == "A is better"


def test_less_is_better_where_it_is() -> None:
    for name in ("visible_idle", "memory"):
        assert compare.compare_rounds(row(name), noisy(10, 1), noisy(5, 2), 1).verdict == "B is better"


def test_a_baseline_for_every_kernel() -> None:
    base = json.loads(callgrind.BASELINE.read_text())
    assert set(base) == set(callgrind.KERNELS)
    assert all(count["per_row"] > 0 and count["relative"] > 0 for count in base.values())


def test_two_rounds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["HEAD", "HEAD", "--rounds", "2"]) == 2
    assert "at least 3" in capsys.readouterr().err


def wants(*names: str, built_with: str = "cython") -> str:
    return f"[project]\ndependencies = {json.dumps(names)}\n[build-system]\nrequires = [{json.dumps(built_with)}]\n"


def test_a_commit_that_needs_other_packages_is_refused() -> None:
    compare.refuse_other_packages("a", wants("falcon>=4", "redis", built_with="cython>=3"))
    for other in (wants("falcon>=99"), wants("redis[hiredis]<1"), wants("falcon", built_with="cython>=99")):
        with pytest.raises(UsageError, match=r"^b needs .*, and .* is installed$"):
            compare.refuse_other_packages("b", other)
