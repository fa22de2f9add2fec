"""Repeated log lines: the first of a kind is written at once, the same again only after a while."""

from __future__ import annotations

from board.process.throttle import Throttle


def test_repetitions_wait() -> None:
    now = 100.0
    throttle = Throttle(10.0, lambda: now)
    assert throttle.admits("a") and not throttle.admits("a")
    assert throttle.admits("b"), "another kind is another line"
    now = 109.9
    assert not throttle.admits("a")
    now = 110.0
    assert throttle.admits("a") and not throttle.admits("a")
    now = 125.0
    assert throttle.admits("a") and not throttle.admits("a")
    throttle.forget()
    assert throttle.admits("a")


def test_a_line_is_repeated_every_ten_seconds_from_the_boot_on() -> None:
    now = 0.0
    throttle = Throttle(clock=lambda: now)
    assert throttle.admits("a")
    now = 9.99
    assert not throttle.admits("a")
    now = 10.0
    assert throttle.admits("a")


def test_the_first_line_is_written_wherever_the_clock_begins() -> None:
    throttle = Throttle(clock=lambda: -1e9)
    assert throttle.admits("a") and not throttle.admits("a")


def test_it_remembers_a_bounded_number_of_kinds() -> None:
    throttle = Throttle(10.0, lambda: 100.0)
    kept = set()
    for n in range(1_000):
        assert throttle.admits(str(n))
        kept.add(len(throttle._next))
    assert max(kept) == 256
