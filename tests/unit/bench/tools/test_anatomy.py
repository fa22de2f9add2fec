"""What a sampler's lines come to."""

from __future__ import annotations

import pytest

from bench.tools.anatomy import difference, divide_by_function, function_name


def test_the_innermost_function_has_the_time_and_lines_of_one_function_are_added() -> None:
    stacks = """run (asyncio/runners.py:118);plan (/srv/service/http/fast_path.py:90) 6
run (asyncio/runners.py:118);plan (/srv/service/http/fast_path.py:95) 2
run (asyncio/runners.py:118) 1
 1
"""
    found = divide_by_function(stacks, 50.0)
    assert found == {"http/fast_path.py plan": 40.0, "asyncio/runners.py run": 5.0, "(not seen)": 5.0}
    assert next(iter(found)) == "http/fast_path.py plan", "the greatest first"
    assert sum(found.values()) == pytest.approx(50.0)


def test_nothing_was_seen_of_a_process_that_rested() -> None:
    assert divide_by_function("", 10.0) == {}


def test_a_torn_name_costs_its_own_line_only() -> None:
    stacks = "run (a/b.py:1);pl\nn (a/c.py:2) 3\nrun (a/b.py:1);p\u2028q (a/b.py:9) 1\nrun (a/b.py:1) 4\n"
    assert divide_by_function(stacks, 8.0) == {"a/b.py run": 4.0, "a/c.py n": 3.0, "a/b.py p\u2028q": 1.0}


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ("wait (psycopg/connection.py:453)", "psycopg/connection.py wait"),
        ("note (/a/b/service/telemetry/metrics.py:7)", "telemetry/metrics.py note"),
        ("", "(not seen)"),
    ],
)
def test_a_function_is_named_by_its_file(frame: str, name: str) -> None:
    assert function_name(frame) == name


def test_the_difference_of_two_looks() -> None:
    assert difference((10, 700), (4, 200)) == (6, 500)
