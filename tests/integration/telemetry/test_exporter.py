"""`/metrics` of API and relays answers whatever other clients do with their connections."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support.http import free_port
from support.marks import walks
from support.processes import relaying, serving
from support.scrape import scrape
from support.waiting import eventually
from support.world import World

from board.observe.exporter import CONNECTIONS_MOST, REQUEST_S

PROMPT_S = REQUEST_S / 2
"""Far below the time that a client has for its head."""
MOST_S = 3 * REQUEST_S


@contextmanager
def exporting(world: World, kind: str) -> Iterator[int]:
    """The port of an exporter."""
    port = free_port()
    bind = f"127.0.0.1:{port}"
    with ExitStack() as stack:
        if kind == "API":
            stack.enter_context(serving(world, LEADERBOARD_METRICS_BIND=bind))
        else:
            stack.enter_context(relaying(world, LEADERBOARD_RELAY_METRICS_BIND=bind))
        eventually(lambda: scrape(port))
        yield port


def trickle(connection: socket.socket) -> float:
    """Send a byte now and then until the server ends the connection; for how long it was open."""
    began = time.monotonic()
    connection.settimeout(REQUEST_S / 10)
    while time.monotonic() - began < MOST_S:
        try:
            connection.sendall(b"x")
            if not connection.recv(100):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize("kind", ["API", *walks("relays")])
def test_clients_without_a_whole_head_hold_up_no_scrape(world: World, kind: str) -> None:
    with exporting(world, kind) as port, ExitStack() as stack:
        for _ in range(2 * CONNECTIONS_MOST):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
            began = time.monotonic()
            assert scrape(port) is not None
            assert time.monotonic() - began < PROMPT_S
        assert trickle(slow) < MOST_S
