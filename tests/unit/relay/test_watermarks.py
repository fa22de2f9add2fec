"""Identities of PostgreSQL: which one is later."""

from __future__ import annotations

from relay.watermarks import is_past


def test_is_past() -> None:
    assert is_past("7:00000001", "7:00000002")
    assert not is_past("7:00000002", "7:00000002")
    assert not is_past("7:00000002", "7:00000001")
    assert not is_past("7:00000001", "8:00000002")
    assert is_past("7:00000009", "7:0000000A") and is_past("7:000000FF", "7:00000100")
