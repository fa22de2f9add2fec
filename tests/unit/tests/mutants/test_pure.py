"""The run on pure modules: the lines that it mutates, and the table's claim against what was found."""

from __future__ import annotations

from collections import Counter

import pytest
from mutants.modules import Module, Survivors
from mutants.pure import Outcome, list_lines

TEXT = '''\
A = 1


@final
class Asks:
    """It asks."""

    b = 2


@lru_cache(9)
def pure():
    return 3


async def asks():
    return 4
'''


@pytest.mark.parametrize(
    ("without", "lines"),
    [
        ([], ["1-10", "13-17"]),
        (["Asks"], ["1-3", "9-10", "13-17"]),
        (["asks"], ["1-10", "13-15"]),
        (["Asks", "asks"], ["1-3", "9-10", "13-15"]),
    ],
)
def test_a_module_is_mutated_without_what_asks_a_server_and_without_its_caches(
    without: list[str], lines: list[str]
) -> None:
    assert list_lines(TEXT, without) == lines


@pytest.mark.parametrize(
    ("outcomes", "survivors", "agrees"),
    [
        ({"killed": 9, "survived": 1}, 1, True),
        ({"killed": 8, "incompetent": 1, "survived": 1}, 1, True),
        ({"killed": 8, "survived": 2}, 2, False),
        ({"killed": 10}, 0, False),
        ({"killed": 10, "survived": 1}, 1, False),
        ({"killed": 8, "survived": 1, "pending": 1}, 1, False),
    ],
)
def test_the_table_has_to_agree_with_what_was_found(outcomes: dict[str, int], survivors: int, agrees: bool) -> None:
    module = Module("a.py", ("test_a.py",), 10, survivors=(Survivors(1, "It is equal."),))
    assert (Outcome(Counter(outcomes), ["diff"] * survivors, 1.0).find_fault(module) == "") is agrees
