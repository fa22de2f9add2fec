"""Open-loop figures: percentiles, the find_knee, and when a run is the generator's fault."""

from __future__ import annotations

import msgspec
import pytest
from hdrh.histogram import HdrHistogram

from bench.load.open_loop_result import POINTS, Latency, OpenLoopResult, find_knee, summarize_latency
from bench.report.report import build_row
from bench.rows.catalog import ROWS
from bench.rows.figures import Measure


def paced(*, p99_ms: float = 10.0, lag_p99_ms: float = 1.0, offered_per_s: float = 1_000.0) -> OpenLoopResult:
    none = summarize_latency([])
    some = msgspec.structs.replace(none, count=1, p99_ms=p99_ms)
    return OpenLoopResult(1_000.0, offered_per_s, 900.0, 100, 90, 90, 5, 5, some, none, some, lag_p99_ms, lag_p99_ms)


def test_percentiles_are_exact_to_three_digits() -> None:
    found = summarize_latency(range(1, 100_001))
    assert found.count == 100_000
    shown = [found.p50_ms, found.p90_ms, found.p99_ms, found.p999_ms, found.max_ms]
    assert shown == pytest.approx([50, 90, 99, 99.9, 100], rel=0.001)
    assert [percent for percent, _ in found.curve] == [*POINTS]
    assert POINTS == (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0)
    assert found.curve[-1] == (100.0, pytest.approx(100, rel=0.001))


def test_the_whole_histogram_goes_along() -> None:
    held = HdrHistogram.decode(summarize_latency([1_000, 2_000, 3_000]).hdr)
    assert held.get_total_count() == 3
    assert held.get_max_value() == pytest.approx(3_000, rel=0.001)


@pytest.mark.parametrize(("value_us", "ms"), [(0, 0.001), (1, 0.001), (1_500, 1.5)])
def test_small_latencies_are_exact_from_a_microsecond_on(value_us: int, ms: float) -> None:
    found = summarize_latency([value_us])
    assert (found.count, found.p50_ms, found.p999_ms, found.max_ms) == (1, ms, ms, ms)


def test_latencies_are_kept_up_to_a_minute() -> None:
    found = summarize_latency([10**9])
    assert (found.p50_ms, found.max_ms) == (pytest.approx(60_000, rel=0.001), pytest.approx(60_000, rel=0.001))
    assert HdrHistogram.decode(found.hdr).significant_figures == 3


def test_errors_are_refusals_and_requests_without_an_answer() -> None:
    assert paced().errors == 10


@pytest.mark.parametrize(("result", "member"), [(paced(), "rate"), (summarize_latency([]), "count")])
def test_a_result_never_changes(result: OpenLoopResult | Latency, member: str) -> None:
    with pytest.raises(AttributeError):
        setattr(result, member, 1)


def test_no_request_no_figure() -> None:
    assert summarize_latency([]) == Latency(0, 0.0, 0.0, 0.0, 0.0, 0.0, [], "")


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (paced(), ""),
        (paced(p99_ms=100.0, lag_p99_ms=15.0), ""),  # Small beside what the server took.
        (paced(p99_ms=0.5, lag_p99_ms=1.5), ""),  # Within two turns of its clock.
        (paced(p99_ms=10.0, lag_p99_ms=2.0), ""),
        (paced(p99_ms=100.0, lag_p99_ms=20.0), ""),
        (paced(offered_per_s=980.0), ""),
        (paced(p99_ms=10.0, lag_p99_ms=3.0), "the generator lagged by 3.0 ms (p99) behind latencies of 10.0 ms"),
        (paced(p99_ms=100.0, lag_p99_ms=20.1), "lagged"),
        (paced(offered_per_s=979.0), "only 979 of 1,000 requests/s were offered"),
    ],
)
def test_a_run_whose_generator_lagged_is_invalid(run: OpenLoopResult, reason: str) -> None:
    assert reason in run.invalid()
    assert bool(run.invalid()) is bool(reason)


def test_an_invalid_round_makes_the_row_invalid_but_not_wrong() -> None:
    row = next(row for row in ROWS if row.name == "mixed")
    found = build_row(
        row, {"mixed": [Measure({"p99_ms": 1.0}), Measure({"p99_ms": 9.0}, invalid="the generator lagged")]}
    )
    assert found.correct
    assert not found.valid
    assert "INVALID, round 2: the generator lagged" in found.notes


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([], None),
        ([(100.0, 2.0)], 100.0),
        ([(100.0, 2.0), (200.0, 4.0), (300.0, 10.0), (400.0, 11.0)], 300.0),
        ([(100.0, 2.0), (200.0, 50.0), (300.0, 3.0)], 100.0),  # Beyond the knee nothing counts.
    ],
)
def test_the_knee_is_the_last_rate_before_p99_leaves(curve: list[tuple[float, float]], expected: float | None) -> None:
    assert find_knee(curve) == expected
