"""Backoff: longer after each failure, never beyond the bound, never in step with others."""

from __future__ import annotations

import math
import random

from board.process.backoff import Backoff


class Extreme(random.Random):
    """Always the same draw."""

    def __init__(self, draw: float) -> None:
        super().__init__(0)
        self.draw = draw

    def random(self) -> float:
        return self.draw


def test_delays_double_up_to_the_bound() -> None:
    backoff = Backoff(0.1, 1.0, Extreme(1.0))
    assert [round(backoff.failed(), 3) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_takes_away_at_most_half() -> None:
    backoff = Backoff(0.1, 1.0, Extreme(0.0))
    assert [round(backoff.failed(), 3) for _ in range(5)] == [0.05, 0.1, 0.2, 0.4, 0.5]


def test_two_of_them_do_not_march_in_step() -> None:
    one, other = Backoff(0.1, 1.0, random.Random(1)), Backoff(0.1, 1.0, random.Random(2))
    assert [one.failed() for _ in range(5)] != [other.failed() for _ in range(5)]


def test_success_starts_it_over() -> None:
    backoff = Backoff(0.1, 1.0, Extreme(1.0))
    for _ in range(9):
        backoff.failed()
    backoff.succeeded()
    assert backoff.failed() == 0.1


def test_a_failure_that_lasts_for_years_still_has_a_delay() -> None:
    backoff = Backoff(0.1, 5.0, Extreme(1.0))
    for _ in range(5_000):
        assert backoff.failed() <= 5.0


def test_without_a_bound_a_delay_doubles_thirty_times() -> None:
    backoff = Backoff(1.0, math.inf, Extreme(1.0))
    assert [backoff.failed() for _ in range(40)] == [2.0**n for n in range(30)] + [2.0**30] * 10
