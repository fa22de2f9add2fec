"""Addresses to listen on, as the settings write them: `host:port` or `unix:/path`."""

from __future__ import annotations

import ipaddress
import re

from board.errors import InvalidSetting


def address(bind: str) -> tuple[str, int] | None:
    """Host and port of an address to listen on, or None for a Unix socket."""
    if bind.startswith("unix:"):
        return None
    host, _, port = bind.rpartition(":")
    return host.strip("[]"), int(port)


def is_local(bind: str) -> bool:
    """True if only this machine can reach the address."""
    tcp = address(bind)
    if tcp is None:
        return True
    host, _ = tcp
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(variable: str, bind: str) -> None:
    """Raise `InvalidSetting`, which names the variable, unless the text is an address."""
    if bind.startswith("unix:"):
        if len(bind) < 7:
            raise InvalidSetting(f"{variable} names no socket path after 'unix:'")
    else:
        host, colon, port = bind.rpartition(":")
        if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            raise InvalidSetting(f"{variable} must be host:port or unix:/path, not {bind[:60]!r}")
