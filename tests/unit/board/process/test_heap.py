"""What is there at the end of a start is not collected any more; what comes later is."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from board.process.heap import freeze_heap


class Node:
    """An object that refers to itself, so only a collection can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_garbage_is_freed_first_and_later_garbage_as_ever() -> None:
    before, kept = weakref.ref(Node()), Node()
    freeze_heap()
    assert before() is None and gc.get_freeze_count() > 10_000
    assert not any(one is kept for one in gc.get_objects())
    later = weakref.ref(Node())
    gc.collect()
    assert later() is None
