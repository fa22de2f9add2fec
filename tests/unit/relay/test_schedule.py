"""The schedule of a relay, with a clock that the test turns."""

from __future__ import annotations

import random

import pytest

from board.config.load import load
from relay.schedule import Schedule


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def schedule(clock: Clock) -> Schedule:
    times = {"IDLE_MS": "50", "PACE_MS": "4", "CHECK_MS": "2000", "SAMPLE_MS": "1000"}
    settings = load({f"LEADERBOARD_RELAY_{name}": value for name, value in times.items()})
    return Schedule(settings, clock, random.Random(1))


def test_new_connections_check_and_poll_at_once(schedule: Schedule, clock: Clock) -> None:
    schedule.plan_check()
    schedule.plan_poll()
    schedule.retry_soon(3)
    schedule.rest(4)
    schedule.begin()
    assert schedule.next_check <= clock.now and schedule.next_poll <= clock.now
    assert not schedule.planned(3) and not schedule.planned(4)


def test_intervals_vary_by_a_quarter(schedule: Schedule, clock: Clock) -> None:
    for _ in range(100):
        schedule.plan_check()
        schedule.plan_sample()
        assert 1.5 <= schedule.next_check - clock.now <= 2.5
        assert 0.75 <= schedule.next_sample - clock.now <= 1.25


def test_a_wait_is_never_zero_and_never_longer_than_the_idle_interval(schedule: Schedule, clock: Clock) -> None:
    assert schedule.wait_s(clock.now) == 0.001, "zero would be for ever"
    schedule.plan_poll()
    assert schedule.wait_s(clock.now) == pytest.approx(0.05)
    schedule.next_poll += 60
    assert schedule.wait_s(clock.now) == 0.05
    schedule.rest(1)
    assert schedule.wait_s(clock.now) == pytest.approx(0.004)


def test_a_partition_is_due_once_and_only_when_its_time_has_come(schedule: Schedule, clock: Clock) -> None:
    schedule.retry_soon(7)
    assert list(schedule.pop_due(clock.now)) == []
    assert list(schedule.pop_due(clock.now + 0.002)) == [7]
    assert list(schedule.pop_due(clock.now + 1)) == []


def test_a_partition_to_be_tried_again_does_not_rest(schedule: Schedule, clock: Clock) -> None:
    schedule.retry_soon(7)
    schedule.rest(7)
    schedule.rest(8)
    assert set(schedule.rests) == {8}
    assert schedule.rested(clock.now) == [] and schedule.rested(clock.now + 0.005) == [8]


def test_refusals_in_a_row_are_tried_later_and_later_up_to_a_bound(schedule: Schedule) -> None:
    delays = [schedule.set_back(7) for _ in range(20)]
    assert 0.05 <= delays[0] <= 0.1
    assert all(2.5 <= delay <= 5 for delay in delays[10:])
    schedule.succeeded(7)
    assert schedule.set_back(7) <= 0.1


def test_a_busy_partition_is_tried_again_at_least_every_50_ms(schedule: Schedule, clock: Clock) -> None:
    delays = []
    for _ in range(20):
        schedule.retry_soon(7)
        delays.append(schedule.due[7] - clock.now)
    assert 0.001 <= delays[0] <= 0.0021
    assert all(0.024 < delay <= 0.051 for delay in delays[10:])
