"""The `Prefer` header: the wait that counts, and everything that is as if it had not been sent."""

from __future__ import annotations

from time import perf_counter

import pytest

from service.contract.preferences import parse_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=2", 2),
        ("WAIT = 2", 2),
        ('wait="3"', 3),
        ("wait=007", 7),
        ("wait=0", 0),
        ("wait=000", 0),
        ("wait=99999999999999999999", 999_999_999),
        ("respond-async, wait=2", 2),
        ('handling=lenient; x="a,b;c", wait=4; y=z', 4),
        ("wait=2, wait=5", 2),
        ("wait=x, wait=5", 0),
        ("wait, wait=5", 0),
        ('foo="a, wait=3"', 0),
        ('foo="a\\", wait=3"', 0),
        ('foo="a, wait=3', 0),
        ("waiting=3", 0),
        ("x-wait=3", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=1 2", 0),
        ('wait="1', 0),
        ("wait=\u0663", 0),
        ("", 0),
        (",,", 0),
        (None, 0),
    ],
)
def test_the_first_wait_counts_and_what_is_malformed_does_not(header: str | None, seconds: int) -> None:
    assert parse_wait(header) == seconds


@pytest.mark.parametrize("piece", ['"', '\\"', '"\\', '"a,', "a", "0", "wait=0", "wait =", ";", ","])
def test_a_long_header_takes_no_time(piece: str) -> None:
    header = "wait=" + piece * (8192 // len(piece))
    began = perf_counter()
    parse_wait(header)
    assert perf_counter() - began < 0.5
