"""The time of a body: it goes on as long as it makes progress, however long, and ends soon after it stops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.served import Served, Wire

from service.http.connection import RATE_LEAST
from service.http.fast_path import FastPath


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.loop.close()


class Body:
    """A submission whose body comes piece by piece, and the seconds that pass meanwhile."""

    def __init__(self, served: Served, size: int) -> None:
        self.served = served
        self.protocol: FastPath
        self.wire: Wire
        self.protocol, self.server, self.wire = served.connect()
        self.limit_s = served.limiter.limits.receive_s
        self.size = size
        head = b"POST /v1/seasons/s/scores HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
        self.protocol.data_received(head % size)
        served.settle(self.server)

    def send(self, size: int) -> None:
        while size > 0:
            self.protocol.data_received(b"x" * min(size, 60_000))
            self.served.settle(self.server)
            size -= 60_000

    def wait(self, seconds: int) -> int:
        """The seconds until the body is given up, at most so many."""
        for second in range(1, seconds + 1):
            self.served.limiter.tick += 1
            self.protocol.sweep(self.served.limiter.tick)
            if self.wire.closed:
                return second
        return seconds


@pytest.mark.parametrize("before", [0, 10_000, 900_000])
def test_silence_is_given_up_whatever_came_before(served: Served, before: int) -> None:
    body = Body(served, 1_000_000)
    body.send(before)
    assert body.wait(1_000) <= body.limit_s + 2
    assert b" 408 " in body.wire.written
    assert served.asked == []


def test_all_but_the_last_byte_is_silence_too(served: Served) -> None:
    body = Body(served, 1_000_000)
    for _ in range(20):
        body.send(49_999)
        body.wait(1)
    body.send(19)
    assert not body.wire.closed
    assert body.wait(1_000) <= body.limit_s + 2
    assert served.asked == []


def test_progress_may_take_any_time(served: Served) -> None:
    seconds = 400
    body = Body(served, seconds * RATE_LEAST)
    for second in range(seconds):
        # Not evenly: the rate counts, not each second.
        body.send(RATE_LEAST * 4 if second % 4 == 0 else 0)
        body.wait(1)
    assert not body.wire.closed
    assert [what[0] for what in served.asked] == ["submitScore"]
    assert b" 200 " in body.wire.written


def test_below_the_least_rate_a_body_falls_behind(served: Served) -> None:
    body = Body(served, 1_000_000)
    for _ in range(3 * body.limit_s):
        body.send(RATE_LEAST // 2)
        body.wait(1)
        if body.wire.closed:
            break
    assert b" 408 " in body.wire.written
    assert served.asked == []


def test_a_pause_within_the_time_costs_what_it_took(served: Served) -> None:
    body = Body(served, 100_000)
    for _ in range(3):
        body.wait(body.limit_s - 2)
        assert not body.wire.closed
        # All of it is made up for.
        body.send(body.limit_s * RATE_LEAST)
        body.wait(1)
    body.send(100_000 - 3 * body.limit_s * RATE_LEAST)
    assert b" 200 " in body.wire.written
