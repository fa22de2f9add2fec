"""The time of a connection, tick by tick: silence before and after a request, answers that are read slowly, no room."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from support.served import Served, Wire

REQUEST = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"


class Slow(Wire):
    """A client's end whose answers are not all read yet."""

    unsent = 0

    def __init__(self) -> None:
        super().__init__()
        self.end, self.other = socket.socketpair()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.end if name == "socket" else default


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    made.limiter.limits = msgspec.structs.replace(  # type: ignore[misc]
        made.limiter.limits, connections=2, receive_s=5, idle_s=50, send_s=10
    )
    yield made
    made.loop.close()


def test_a_connection_without_a_request_is_closed_sooner_than_an_idle_one(served: Served) -> None:
    protocol, server, wire = served.connect()
    protocol.sweep(5)
    assert not wire.closed
    protocol.sweep(6)
    assert wire.closed
    protocol, server, wire = served.connect()
    protocol.data_received(REQUEST)
    served.settle(server)
    assert wire.written.startswith(b"HTTP/1.1 ")
    protocol.sweep(50)
    assert not wire.closed
    protocol.sweep(51)
    assert wire.closed


@pytest.mark.parametrize(("rate", "stays"), [(0, False), (100, False), (400, False), (600, True)])
def test_answers_have_to_be_read_at_the_least_rate(served: Served, rate: int, stays: bool) -> None:
    protocol, _, _ = served.connect()
    wire = Slow()
    protocol.transport = wire
    protocol.data_received(b"POST /v1/seasons/s/scores HTTP/1.1\r\n")  # an open request is not idle
    for tick in range(1, 40):
        wire.unsent = 100_000 - rate * tick
        protocol._since = tick
        protocol.sweep(tick)
        if wire.closed:
            break
    wire.end.close()
    wire.other.close()
    assert wire.closed != stays
    assert stays or 11 <= tick <= 13


def test_clients_beyond_the_limit_are_told_and_those_far_beyond_are_not(served: Served) -> None:
    _, server, _ = served.connect()
    wires = []
    for _ in range(served.limiter.SPARE + 4):
        protocol = served.protocol(config=served.config, server_state=server, app_state={}, _loop=served.loop)
        wires.append(Wire())
        protocol.connection_made(wires[-1])
    told = [wire.written.startswith(b"HTTP/1.1 503 ") for wire in wires]
    assert told == [False, *[True] * served.limiter.SPARE, *[False] * 3]
    assert [wire.closed for wire in wires] == [False, *[True] * (len(wires) - 1)]
