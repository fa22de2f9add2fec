"""Figures over rounds: percentiles, median and extremes."""

from __future__ import annotations

import pytest

from bench.rows.figures import Measure, Spread, percentile, summarize_measures, summarize_rounds


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(n) for n in range(200, 0, -1)]
    assert [percentile(values, p) for p in (50, 90, 99, 100)] == [100, 180, 198, 200]
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7
    assert percentile([1.0, 2.0, 3.0], 50) == 2


@pytest.mark.parametrize(("figure", "member"), [(Measure({}), "invalid"), (summarize_rounds([1.0]), "low")])
def test_figures_never_change(figure: Measure | Spread, member: str) -> None:
    with pytest.raises(AttributeError):
        setattr(figure, member, 1)


def test_a_spread_is_median_and_extremes() -> None:
    found = summarize_rounds([3.0, 9.0, 1.0])
    assert (found.median, found.low, found.high, found.rounds) == (3, 1, 9, (3, 9, 1))


def test_spreads_take_a_figure_from_the_rounds_that_have_it() -> None:
    found = summarize_measures([Measure({"per_s": 1.0}), Measure({"per_s": 3.0, "errors": 2.0})])
    assert found["per_s"].rounds == (1, 3)
    assert found["errors"].rounds == (2,)
