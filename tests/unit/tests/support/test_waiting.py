"""Waiting: as long as it takes and no longer, with few looks."""

from __future__ import annotations

import time

import pytest
from support.waiting import eventually


def test_looks_become_rare_and_the_end_is_seen_soon() -> None:
    began, looks = time.monotonic(), 0

    def done() -> bool:
        nonlocal looks
        looks += 1
        return time.monotonic() - began > 1

    eventually(done)
    assert time.monotonic() - began < 1.5
    assert 10 < looks < 60, "a look each five milliseconds would be 200"


def test_the_first_look_is_enough_and_the_last_one_is_at_the_end() -> None:
    assert eventually(lambda: "found", 0) == "found"
    began, looked = time.monotonic(), []
    with pytest.raises(AssertionError, match="not within 0 s; last seen: None and more"):
        eventually(lambda: looked.append(time.monotonic()), 0.3, tell=lambda: " and more")
    assert 0.3 <= looked[-1] - began < 0.5
