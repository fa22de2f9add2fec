"""The comparison with the original: scales and ratios."""

from __future__ import annotations

import pytest

from bench.report.original import PGBENCH, READ_LINES, ratio, read_scale, write_scale


def test_the_machine_of_the_original_has_scale_one() -> None:
    assert write_scale({"pgbench": PGBENCH}) == 1
    assert read_scale(READ_LINES) == pytest.approx(1)


def test_reads_scale_by_the_geometric_mean_of_three_lines() -> None:
    lines = {"zrevrank": 80_000.0, "zrevrange": 47_000.0, "nginx": 700_000.0}
    assert read_scale(lines) == pytest.approx((0.5 * 1 * 4) ** (1 / 3))


def test_reads_scale_without_nginx_but_not_without_redis() -> None:
    assert read_scale({"zrevrank": 80_000.0, "zrevrange": 94_000.0}) == pytest.approx(1)
    assert read_scale({"zrevrank": 80_000.0, "nginx": 175_000.0}) is None
    assert write_scale({"zrevrank": 80_000.0}) is None


def test_a_ratio_above_one_is_better_for_rates_and_for_times() -> None:
    assert ratio(200, 100) == 2
    assert ratio(5, 10, lower_is_better=True) == 2
