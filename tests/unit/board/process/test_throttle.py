"""Repeated log lines: the first of a kind is written at once, the same again only after a while."""

from __future__ import annotations

from board.process.throttle import KEPT_MOST, Throttle


def test_repetitions_wait() -> None:
    now = 100.0
    throttle = Throttle(10.0, lambda: now)
    assert throttle.admits("a") and not throttle.admits("a")
    assert throttle.admits("b"), "another kind is another line"
    now = 109.9
    assert not throttle.admits("a")
    now = 110.0
    assert throttle.admits("a") and not throttle.admits("a")
    throttle.forget()
    assert throttle.admits("a")


def test_it_remembers_a_bounded_number_of_kinds() -> None:
    throttle = Throttle(10.0, lambda: 100.0)
    assert all(throttle.admits(str(n)) for n in range(3 * KEPT_MOST))
    assert len(throttle._next) <= KEPT_MOST
