"""The wait for an empty outbox: patient with a late commit, not with hints that no relay takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.system import stack
from bench.system.stack import Stack
from board.errors import ServerUnreachable


class Queue(Stack):
    """A system of which only the outbox is there: relays see nothing to do, and so many hints lie in it."""

    def __init__(self, left: Iterator[int]) -> None:
        self.left = left

    def wait(self, ready: Callable[[], bool], alive: Callable[[], None], within_s: float = 1.0) -> None:
        assert ready()

    def is_empty(self) -> bool:
        return True

    def count_hints(self) -> int:
        return next(self.left)


def test_a_commit_between_two_looks_is_waited_for() -> None:
    assert Queue(iter([7, 7, 0])).wait_until_empty() >= 0.0


def test_hints_that_stay_although_no_relay_sees_them_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "STRANDED_S", 0.02)
    with pytest.raises(ServerUnreachable, match="7 hints are left"):
        Queue(iter([7] * 1_000)).wait_until_empty()
