"""Connections counted by client address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.addresses import Addresses, identify_client


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("a name", "a name", True),
    ],
)
def test_who_counts_as_one(one: str, other: str, same: bool) -> None:
    assert (identify_client(one) == identify_client(other)) is same


@given(st.text(max_size=30) | st.ip_addresses().map(str))
def test_any_text_is_an_origin(host: str) -> None:
    assert identify_client(identify_client(host)) == identify_client(host)


@given(st.lists(st.tuples(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]), st.booleans())))
def test_the_count_is_that_of_those_who_are_there(steps: list[tuple[str, bool]]) -> None:
    addresses, here = Addresses(2), list[str]()
    for host, comes in steps:
        if comes:
            here.append(host)
            there = sum(identify_client(other) == identify_client(host) for other in here)
            assert addresses.enter(host) == max(0, there - 2)
        elif host in here:
            here.remove(host)
            addresses.leave(host)
    assert len(addresses) == len({identify_client(host) for host in here})


def test_without_a_limit_nothing_is_kept() -> None:
    addresses = Addresses(0)
    assert [addresses.enter("192.0.2.1") for _ in range(3)] == [0, 0, 0]
    addresses.leave("192.0.2.1")
    assert len(addresses) == 0


def test_those_who_stay_still_count_when_one_has_left() -> None:
    addresses = Addresses(2)
    assert [addresses.enter("192.0.2.1") for _ in range(3)] == [0, 0, 1]
    addresses.leave("192.0.2.1")
    assert addresses.enter("192.0.2.1") == 1
    for _ in range(3):
        addresses.leave("192.0.2.1")
    assert len(addresses) == 0
