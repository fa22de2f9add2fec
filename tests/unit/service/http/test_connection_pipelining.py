"""Requests of a connection that wait in its queue: few at a time, however many came, and each answered in its turn."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from support.served import Served, assert_same, streams

from service.http import connection, uvicorn_seam
from service.http.connection import SMALL_BYTES
from service.http.uvicorn_seam import QUEUED_BODY_MOST_BYTES, QUEUED_MOST

SHORTEST = b"GET / HTTP/1.1\r\nHost:\r\n\r\n"
MANY = 600


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.loop.close()


def rank_of(number: int) -> bytes:
    """A read of one player, in turn on the fast path's spelling and on another one."""
    return b"GET /v1/seasons/%b/leaderboard/rank?userId=u%d HTTP/1.1\r\nHost: h\r\n\r\n" % (
        b"s" if number % 2 else b"%73",
        number,
    )


def submission(size: int) -> bytes:
    return b"POST /v1/seasons/s/scores HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


def test_of_one_large_piece_only_a_few_requests_are_queued(served: Served) -> None:
    protocol, server, wire = served.connect()
    protocol.data_received(b"".join(map(rank_of, range(MANY))))
    room = [protocol.count_room()]
    assert wire.paused
    while server.total_requests < MANY and len(room) < 50 * MANY:
        served.turn()
        room.append(protocol.count_room())
    assert min(room) == 0
    assert [what[2] for what in served.asked] == [f"u{number}" for number in range(MANY)]
    assert server.total_requests == wire.written.count(b"HTTP/1.1 200") == MANY
    assert not wire.paused and not wire.closed


@pytest.mark.parametrize("request_bytes", [SHORTEST, b"GET /x HTTP/1.1\r\nHost:x\r\n\r\n"])
def test_a_flood_of_tiny_requests_takes_little_memory(served: Served, request_bytes: bytes) -> None:
    flood = request_bytes * 22_000
    protocol, server, wire = served.connect()
    tracemalloc.start()
    try:
        protocol.data_received(flood)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert wire.paused
    # 22,000 queued requests are 50 MB.
    assert peak < 500_000
    protocol.connection_lost(None)
    served.settle(server)


def test_small_pieces_fill_the_queue_no_further(served: Served) -> None:
    protocol, server, wire = served.connect()
    sent = 0
    while not wire.paused and sent < 2 * QUEUED_MOST:
        protocol.data_received(SHORTEST)
        sent += 1
        # uvicorn pauses as soon as a request is queued, and resumes for each body and after each answer.
        protocol.flow.resume_reading()
    assert sent == 1 + QUEUED_MOST
    protocol.connection_lost(None)
    served.settle(server)


def test_one_small_piece_exceeds_the_bound_by_little(served: Served) -> None:
    protocol, server, wire = served.connect()
    for _ in range(QUEUED_MOST):
        protocol.data_received(SHORTEST)
    protocol.flow.resume_reading()
    assert not wire.paused
    protocol.data_received(SHORTEST * (SMALL_BYTES // len(SHORTEST)))
    protocol.flow.resume_reading()
    assert wire.paused and protocol.count_room() == 1 - SMALL_BYTES // len(SHORTEST)
    protocol.connection_lost(None)
    served.settle(server)


def test_long_bodies_are_queued_one_at_a_time(served: Served) -> None:
    protocol, server, wire = served.connect()
    sizes = [10, 3 * QUEUED_BODY_MOST_BYTES, 20, 3 * QUEUED_BODY_MOST_BYTES, 2 * QUEUED_BODY_MOST_BYTES, 30]
    stream = b"".join(map(submission, sizes))
    pieces = [stream[at : at + 50_000] for at in range(0, len(stream), 50_000)]
    held: list[int] = []
    while pieces:
        if wire.paused:
            served.settle(server)
        assert not wire.paused
        protocol.data_received(pieces.pop(0))
        held.append(sum(len(cycle.body) for cycle, _ in protocol.pipeline))
    served.settle(server)
    assert max(held) < QUEUED_BODY_MOST_BYTES + 3 * 50_000
    assert [len(what[2]) for what in served.asked] == sizes
    assert server.total_requests == len(sizes)


def test_the_bound_of_bodies_counts_while_others_are_awaited(served: Served) -> None:
    """The rest of a long body behind a request in work is not read before its turn."""
    protocol, server, wire = served.connect()
    protocol.data_received(submission(1))
    size = 10 * QUEUED_BODY_MOST_BYTES
    stream = submission(size)
    protocol.data_received(stream[:250_000])
    assert wire.paused
    # Whatever uvicorn asks for, the connection keeps to it.
    protocol.flow.resume_reading()
    assert wire.paused
    served.settle(server)
    assert not wire.paused
    for at in range(250_000, len(stream), 250_000):
        protocol.data_received(stream[at : at + 250_000])
        served.settle(server)
    assert [len(what[2]) for what in served.asked] == [1, size]


def test_a_refusal_behind_queued_requests_drops_the_rest(served: Served) -> None:
    protocol, server, wire = served.connect()
    good = b"".join(map(rank_of, range(40)))
    protocol.data_received(good + b"nonsense\r\n\r\n" + good * 50)
    for _ in range(60):
        served.settle(server)
    assert [what[2] for what in served.asked] == [f"u{number}" for number in range(40)]
    assert wire.closed and not wire.paused


@settings(deadline=None, max_examples=100)
@given(stream=streams())
def test_the_bounds_do_not_change_what_is_asked(served: Served, stream: bytes) -> None:
    wide, _ = served.take([stream])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn_seam, "QUEUED_MOST", 1)
        patch.setattr(connection, "SMALL_BYTES", 0)
        narrow, _ = served.take([stream])
        halves, _ = served.take([stream[: len(stream) // 2], stream[len(stream) // 2 :]])
    assert_same(narrow, wide)
    assert_same(halves, wide)
