"""Signs of life: a child that stands still is told from one that starts, or works, or whose supervisor stood still."""

from __future__ import annotations

import os
import threading

import pytest
from support.waiting import eventually

from board.process.beats import Beat, Beats, Silence


@pytest.fixture
def beats() -> Beats:
    return Beats(2)


def beat(beats: Beats, number: int = 1) -> Beat:
    """The child's side, as it inherits it."""
    return Beat.inherit(beats.environment(number))


def look_until(silence: Silence, now: float, until: float) -> bool:
    """Look every fifth of a second, as a supervisor does; whether the child stands still at the end."""
    found = False
    while now < until:
        now += 0.2
        found = silence.too_long(now)
    return found


def test_a_child_that_gives_signs_is_alive_for_ever(beats: Beats) -> None:
    silence, child = Silence(beats, 1, 30.0), beat(beats)
    silence.begin(100.0)
    for second in range(101, 400):
        child.give()
        assert not silence.too_long(float(second))
    assert silence.heard


def test_a_silent_child_stands_still_after_the_bound_and_not_before(beats: Beats) -> None:
    silence, child = Silence(beats, 1, 30.0), beat(beats)
    silence.begin(100.0)
    child.give()
    assert not silence.too_long(100.2)
    assert not look_until(silence, 100.2, 129.5)
    assert look_until(silence, 129.5, 131.0)
    child.give()
    assert not silence.too_long(131.4), "a late sign counts"


def test_a_child_has_longer_for_its_first_sign(beats: Beats) -> None:
    silence = Silence(beats, 1, 30.0, 120.0)
    silence.begin(100.0)
    assert not look_until(silence, 100.0, 219.0)
    assert look_until(silence, 219.0, 221.0) and not silence.heard


def test_a_new_process_begins_anew(beats: Beats) -> None:
    silence, child = Silence(beats, 1, 30.0, 120.0), beat(beats)
    silence.begin(0.0)
    child.give()
    silence.too_long(0.2)
    assert look_until(silence, 0.2, 40.0)
    silence.begin(40.0)
    assert not silence.heard and not look_until(silence, 40.0, 140.0)


def test_the_silence_of_the_supervisor_itself_is_not_that_of_its_children(beats: Beats) -> None:
    """As after `fg`, or when a virtual machine goes on: nothing is known of the time without a look."""
    silence, child = Silence(beats, 1, 30.0), beat(beats)
    silence.begin(0.0)
    child.give()
    silence.too_long(0.2)
    assert not silence.too_long(10_000.0)


def test_children_have_counters_of_their_own(beats: Beats) -> None:
    beat(beats, 0).give()
    assert (beats.read(0), beats.read(1)) == (1, 0)


def test_without_a_supervisor_it_does_nothing() -> None:
    before = set(threading.enumerate())
    lone = Beat.inherit({})
    lone.give()
    with lone.waiting():
        assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "beat"]


def test_signs_go_on_while_a_child_waits_and_end_with_the_wait(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("board.process.beats.WAIT_BEAT_S", 0.01)
    child, clock = beat(beats, 1), beat(beats, 0)
    with child.waiting():
        with child.waiting():
            pass
        first = beats.read(1)
        eventually(lambda: beats.read(1) >= first + 5)
    after = beats.read(1)
    with clock.waiting():
        eventually(lambda: beats.read(0) >= 20)
    assert beats.read(1) <= after + 1, "silent where nothing is waited for, though the thread is still there"
    with child.waiting():
        eventually(lambda: beats.read(1) >= after + 5)


def test_a_counter_is_inherited_by_its_number(beats: Beats) -> None:
    (variable, value), *_ = beats.environment(1).items()
    assert variable.isupper() and value == f"{beats.fd}:1"
    assert os.fstat(beats.fd).st_size == 16
