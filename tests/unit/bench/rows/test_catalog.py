"""The rows of a run: chosen by name, with the calibration that they need."""

from __future__ import annotations

import pytest

from bench.rows import catalog
from board.errors import UsageError


def test_all_rows_are_chosen_by_default_and_calibration_comes_first() -> None:
    assert catalog.select_rows([]) == list(catalog.ROWS)
    assert [r.family for r in catalog.ROWS[:4]] == ["calibration"] * 4


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["post"], ["pgbench", "post"]),
        (["rank"], ["zrevrank", "zrevrange", "nginx", "rank"]),
        (["drain"], ["drain_1", "drain_1000"]),
        (["visible_busy", "rebuild"], ["rebuild", "visible_busy"]),
    ],
)
def test_chosen_rows_bring_the_calibration_they_are_compared_by(only: list[str], expected: list[str]) -> None:
    assert [r.name for r in catalog.select_rows(only)] == expected


def test_an_unknown_row_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="psot"):
        catalog.select_rows(["post", "psot"])
