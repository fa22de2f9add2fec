"""The schedule of a relay, with a clock that the test turns."""

from __future__ import annotations

import random

import pytest

from board.config.load import load
from relay.schedule import Schedule


class Clock:
    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Draws(random.Random):
    """Always the same draw."""

    def __init__(self, draw: float) -> None:
        super().__init__(0)
        self.draw = draw

    def random(self) -> float:
        return self.draw


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def schedule(clock: Clock) -> Schedule:
    return make_schedule(clock, random.Random(1))


def make_schedule(clock: Clock, randomness: random.Random) -> Schedule:
    times = {"IDLE_MS": "50", "PACE_MS": "4", "CHECK_MS": "1500", "SAMPLE_MS": "500"}
    settings = load({f"LEADERBOARD_RELAY_{name}": value for name, value in times.items()})
    return Schedule(settings, clock, randomness)


@pytest.mark.parametrize("now", [-1e9, 0.0, 100.0])
def test_a_new_relay_checks_polls_and_samples_at_once_wherever_the_clock_begins(now: float) -> None:
    schedule = make_schedule(Clock(now), random.Random(1))
    assert max(schedule.next_check, schedule.next_poll, schedule.next_sample) <= now
    assert schedule.wait_s(now) == 0.001


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
        assert 1.125 <= schedule.next_check - clock.now <= 1.875
        assert 0.375 <= schedule.next_sample - clock.now <= 0.625


@pytest.mark.parametrize(("draw", "check", "sample"), [(0.0, 1.125, 0.375), (0.5, 1.5, 0.5), (1.0, 1.875, 0.625)])
def test_intervals_reach_from_three_to_five_quarters(draw: float, check: float, sample: float) -> None:
    clock = Clock()
    schedule = make_schedule(clock, Draws(draw))
    schedule.plan_check()
    schedule.plan_sample()
    assert (schedule.next_check - clock.now, schedule.next_sample - clock.now) == (check, sample)


@pytest.mark.parametrize(("draw", "delay"), [(0.0, 0.05), (1.0, 0.15)])
def test_a_node_that_is_away_is_asked_for_about_every_100_ms(draw: float, delay: float) -> None:
    clock = Clock()
    schedule = make_schedule(clock, Draws(draw))
    for _ in range(3):
        schedule.wait_for_node(7)
        assert schedule.due[7] - clock.now == pytest.approx(delay)


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_delays_double_from_their_first_to_their_bound(draw: float, share: float) -> None:
    clock = Clock()
    schedule = make_schedule(clock, Draws(draw))
    assert [schedule.set_back(7) / share for _ in range(8)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert schedule.due[7] == clock.now + 5.0 * share
    delays = []
    for _ in range(7):
        schedule.retry_soon(8)
        delays.append((schedule.due[8] - clock.now) / share)
    assert delays == pytest.approx([0.002, 0.004, 0.008, 0.016, 0.032, 0.05, 0.05])


def test_partitions_are_left_out_of_a_poll_while_they_have_a_time_of_their_own(schedule: Schedule) -> None:
    schedule.retry_soon(7)
    schedule.rest(8)
    assert [schedule.planned(partition) for partition in (7, 8, 9)] == [True, True, False]


def test_a_wait_ends_with_the_first_time_that_comes(schedule: Schedule, clock: Clock) -> None:
    schedule.next_poll = clock.now + 60
    schedule.due[7] = clock.now + 0.02
    assert schedule.wait_s(clock.now) == pytest.approx(0.02)
    schedule.rests[8] = clock.now + 0.01
    assert schedule.wait_s(clock.now) == pytest.approx(0.01)
    assert schedule.wait_s(clock.now + 0.009) == pytest.approx(0.001)
    assert schedule.wait_s(clock.now + 0.0095) == schedule.wait_s(clock.now + 9) == 0.001


def test_times_have_come_at_their_instant(schedule: Schedule, clock: Clock) -> None:
    schedule.due |= {7: clock.now, 8: clock.now - 5, 9: clock.now + 0.001}
    schedule.rests |= {7: clock.now, 8: clock.now - 5, 9: clock.now + 0.001}
    assert list(schedule.pop_due(clock.now)) == schedule.rested(clock.now) == [7, 8]
    assert {*schedule.due} == {9}


def test_a_partition_that_never_failed_is_well(schedule: Schedule) -> None:
    schedule.succeeded(7)
    assert not schedule.failures


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


def test_the_more_partitions_rest_the_longer_does_each_up_to_four_paces(schedule: Schedule, clock: Clock) -> None:
    for partition in range(6):
        schedule.rest(partition)
    assert [round((until - clock.now) / 0.004) for until in schedule.rests.values()] == [1, 2, 3, 4, 4, 4]
    schedule.rests.clear()
    for _ in range(2):
        schedule.rest(7)
    assert schedule.rests[7] == pytest.approx(clock.now + 0.004), "it does not count itself"


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
