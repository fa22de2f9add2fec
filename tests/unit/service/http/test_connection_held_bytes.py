"""Bytes that all connections of a worker hold together: counted while they are held, and bounded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.served import Served, Wire

from service.http.fast_path import FastPath

MOST = 400_000
PIECE = 60_000


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served(held_bytes=MOST)
    yield made
    made.loop.close()


@pytest.fixture(scope="module")
def roomy() -> Iterator[Served]:
    made = Served()
    yield made
    made.loop.close()


def head(size: int, path: bytes = b"/v1/seasons/s/scores/batch") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (path, size)


def end(served: Served, protocol: FastPath) -> None:
    """The client is gone, and the application has seen it."""
    protocol.connection_lost(None)
    for _ in range(10):
        served.turn()


def incomplete(served: Served, size: int) -> tuple[FastPath, Wire]:
    """A connection whose request lacks its last byte."""
    protocol, server, wire = served.connect()
    data = head(size) + b"x" * (size - 1)
    for at in range(0, len(data), PIECE):
        protocol.data_received(data[at : at + PIECE])
        served.settle(server)
    return protocol, wire


def test_those_that_are_incomplete_for_longest_make_room(served: Served) -> None:
    opened = [incomplete(served, 100_000) for _ in range(9)]
    assert [wire.closed for _, wire in opened] == [True] * 6 + [False] * 3
    for _, wire in opened[:6]:
        assert wire.written.startswith(b"HTTP/1.1 503 ") and b'"too-many-bytes"' in wire.written
        assert b"retry-after: 1\r\n" in wire.written
    assert 300_000 <= served.limiter.held_bytes <= MOST
    for protocol, _ in opened:
        end(served, protocol)
    assert served.limiter.held_bytes == 0


def test_one_request_beyond_the_bound_is_refused_itself(served: Served) -> None:
    protocol, wire = incomplete(served, MOST + 100_000)
    assert wire.closed and b'"too-many-bytes"' in wire.written
    end(served, protocol)
    assert served.limiter.held_bytes == 0


def test_a_large_request_counts_until_it_is_answered(served: Served) -> None:
    protocol, server, wire = served.connect()
    protocol.data_received(head(50_000) + b"x" * 50_000)
    assert served.limiter.held_bytes >= 50_000
    served.settle(server)
    assert wire.written.startswith(b"HTTP/1.1 200") and served.limiter.held_bytes == 0
    end(served, protocol)


def test_a_small_request_is_not_counted(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, server, _ = served.connect()
    monkeypatch.setattr(served.limiter, "hold", None)
    protocol.data_received(head(100) + b"x" * 100)
    served.settle(server)
    end(served, protocol)


def test_unparsed_requests_count(served: Served) -> None:
    protocol, server, _ = served.connect()
    protocol.data_received(b"GET / HTTP/1.1\r\nHost:\r\n\r\n" * 1_000)
    assert served.limiter.held_bytes > 20_000
    while server.total_requests < 1_000:
        served.turn()
    assert served.limiter.held_bytes == 0
    end(served, protocol)


def test_readers_that_do_not_read_make_room_in_their_turn(served: Served) -> None:
    slow, _, unread = served.connect()
    unread.unsent = 350_000
    slow.pause_writing()
    assert served.limiter.held_bytes == 350_000
    unread.get_extra_info = lambda name: _Socket()  # type: ignore[method-assign,assignment]
    protocol, wire = incomplete(served, 100_000)
    assert unread.closed and not wire.closed
    assert 100_000 <= served.limiter.held_bytes < 110_000
    for one in (slow, protocol):
        end(served, one)
    assert served.limiter.held_bytes == 0


class _Socket:
    """The client's socket, as far as a reset needs it."""

    family = 1


def test_one_that_reads_on_is_counted_no_longer(served: Served) -> None:
    protocol, _, wire = served.connect()
    wire.unsent = 350_000
    protocol.pause_writing()
    wire.unsent = 10_000
    protocol.resume_writing()
    assert served.limiter.held_bytes == 0
    end(served, protocol)


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from([1, 3_000, 9_000, 70_000, 200_000]),
        st.sampled_from([b"/v1/seasons/s/scores/batch", b"/v1/seasons/%73/scores", b"/v1/seasons/s/scores", b"/x"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(requests=REQUESTS, piece=st.sampled_from([7_000, 40_000, 250_000]), cut=st.integers(0, 100_000))
def test_nothing_is_counted_once_all_is_answered(
    roomy: Served, requests: list[tuple[int, bytes]], piece: int, cut: int
) -> None:
    stream = b"".join(head(size, path) + b"x" * size for size, path in requests)
    protocol, server, wire = roomy.connect()
    for at in range(0, len(stream), piece):
        while wire.paused:
            roomy.turn()
        protocol.data_received(stream[at : at + piece])
    roomy.settle(server)
    assert roomy.limiter.held_bytes == 0
    assert server.total_requests == len(requests)
    protocol.data_received(stream[: min(cut, len(stream) - 1)])
    roomy.settle(server)
    end(roomy, protocol)
    assert roomy.limiter.held_bytes == 0
