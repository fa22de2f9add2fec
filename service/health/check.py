"""The health check of the image: ``python -m service.health.check`` asks `/livez`; status 0 for a 200, else 1."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from typing import Final

from board.config.binds import address

TIMEOUT_S: Final = 2.0
WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that stand for all of a host, and those to connect to instead."""


def connect(bind: str) -> socket.socket:
    """A connection to the service that listens on this address. Raises OSError."""
    tcp = address(bind)
    if tcp is not None:
        host, port = tcp
        return socket.create_connection((WILDCARDS.get(host, host), port), TIMEOUT_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT_S)
    try:
        connection.connect(bind.removeprefix("unix:"))
    except OSError:
        connection.close()
        raise
    return connection


def is_alive(bind: str) -> bool:
    """Whether the service answers there within `TIMEOUT_S`."""
    asked = http.client.HTTPConnection("localhost")
    try:
        asked.sock = connect(bind)
        asked.request("GET", "/livez")
        return asked.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


if __name__ == "__main__":
    sys.exit(not is_alive(os.environ.get("LEADERBOARD_BIND", "127.0.0.1:8080")))
