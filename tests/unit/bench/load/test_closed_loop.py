"""The closed loop: only good answers make its rate, and every player is visited."""

from __future__ import annotations

import pytest

from bench.load import closed_loop, generator
from board.errors import ChildFailed

WRK_LINE = (
    b'RESULT {"answers":10100,"refused":90,"broken":7,"late":3,"duration_us":3000000,'
    b'"p50_us":4100,"p90_us":8200,"p99_us":16400,"max_us":50000,"mean_us":20000.0}'
)


def test_only_good_answers_make_the_rate() -> None:
    found = closed_loop.parse(WRK_LINE)
    assert found.accepted == 10_010
    assert found.errors == 100
    figures = found.figures()
    assert figures["per_s"] == pytest.approx(10_010 / 3)
    assert (figures["p50_ms"], figures["p90_ms"], figures["p99_ms"]) == (4.1, 8.2, 16.4)


def test_a_batch_without_a_good_answer_may_be_written_whole() -> None:
    assert closed_loop.parse(WRK_LINE).count_submissions(1_000) == (10_010_000, 100_000)


def test_silence_after_the_last_submission_is_not_in_the_rate() -> None:
    assert closed_loop.parse(WRK_LINE).figures(2)["per_s"] == pytest.approx(10_010 / 2.02)


def test_wrk_without_figures_is_an_error() -> None:
    with pytest.raises(ChildFailed):
        closed_loop.parse(b"RESULT nan")


@pytest.mark.parametrize("count", [1, 2, 3, 10, 89, 1_000, 99_991])
def test_a_stride_visits_every_player_once(count: int) -> None:
    step = closed_loop.stride(count)
    assert {step * n % count for n in range(count)} == set(range(count))


def test_the_pacer_waits_for_a_whole_answer() -> None:
    whole = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\nContent-Length: 4\r\n\r\nabcd"
    assert generator.parse_status(whole) == 202
    assert [generator.parse_status(whole[:cut]) for cut in (10, 40, len(whole) - 1)] == [None, None, None]
