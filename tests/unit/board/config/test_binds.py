"""Addresses to listen on: which ones there are, and which ones only this machine can reach."""

from __future__ import annotations

import pytest

from board.config.binds import address, check_address, is_local
from board.errors import InvalidSetting


@pytest.mark.parametrize(
    ("bind", "found"),
    [("h:80", ("h", 80)), ("[::1]:81", ("::1", 81)), ("::1:81", ("::1", 81)), ("unix:/run/a:1", None)],
)
def test_an_address_is_a_host_and_a_port_or_a_path(bind: str, found: tuple[str, int] | None) -> None:
    assert address(bind) == found


@pytest.mark.parametrize(
    ("bind", "local"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/a", True),
        ("0.0.0.0:1", False), ("[::]:1", False), ("192.0.2.1:1", False), ("a:1", False), ("z:1", False),
    ],
)  # fmt: skip
def test_loopback_and_sockets_are_local(bind: str, local: bool) -> None:
    assert is_local(bind) is local


@pytest.mark.parametrize("bind", ["h:1", "h:65535", "[::1]:80", "h:00080", "unix:/a", "unix:/run/a.sock"])
def test_an_address_is_taken(bind: str) -> None:
    check_address("X", bind)


@pytest.mark.parametrize(
    "bind", ["", "h", ":80", "h:", "h:0", "h:65536", "h:99999", "h:100000", "h:-1", "h:x", "80", "x" * 61]
)
def test_any_other_text_is_refused_with_its_variable(bind: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        check_address("X", bind)
    assert str(refused.value) == f"X must be host:port or unix:/path, not {bind[:60]!r}"


@pytest.mark.parametrize("bind", ["unix:", "unix:/"])
def test_a_socket_has_a_path(bind: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        check_address("X", bind)
    assert str(refused.value) == "X names no socket path after 'unix:'"
