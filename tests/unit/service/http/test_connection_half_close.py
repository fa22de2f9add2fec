"""A client that sends no more: its complete requests count and are answered, an incomplete one does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.served import Served, assert_same, streams

FAST, ORDINARY = b"/v1/seasons/s", b"/v1/seasons/%73"
BOTH = pytest.mark.parametrize("path", [FAST, ORDINARY], ids=["fast path", "ordinary path"])


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.loop.close()


def submission(path: bytes, body: bytes = b"{}") -> bytes:
    return b"POST %b/scores HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


def read(path: bytes) -> bytes:
    return b"GET %b/leaderboard/top HTTP/1.1\r\nHost: h\r\n\r\n" % path


@BOTH
@pytest.mark.parametrize("number", [1, 2, 5, 40])
def test_complete_requests_are_answered(served: Served, path: bytes, number: int) -> None:
    asked, wire = served.half_close([(submission(path) + read(path)) * number])
    assert [what[0] for what in asked] == ["submitScore", "getTop"] * number
    assert wire.written.count(b"HTTP/1.1 200") == 2 * number


@BOTH
def test_an_incomplete_request_is_broken_off(served: Served, path: bytes) -> None:
    whole = submission(path)
    for cut in range(1, len(whole)):
        asked, wire = served.half_close([whole[:cut]])
        assert asked == [] and wire.written == b"", cut


@BOTH
@pytest.mark.parametrize("before", [1, 2, 3])
def test_what_is_complete_in_front_of_an_incomplete_request_is_answered(
    served: Served, path: bytes, before: int
) -> None:
    whole = submission(path, b"x" * 20)
    for cut in range(1, len(whole), 3):
        asked, wire = served.half_close([submission(path) * before + whole[:cut]])
        assert [what[2] for what in asked] == [b"{}"] * before, cut
        assert wire.written.count(b"HTTP/1.1 ") == wire.written.count(b"HTTP/1.1 200") == before


@BOTH
def test_an_error_behind_a_request_in_work_does_not_keep_its_answer_back(served: Served, path: bytes) -> None:
    """The broken one is taken out of the queue. The one before it is still due."""
    broken = b"POST %b/scores HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnonsense" % path
    for before in (1, 2, 3):
        asked, wire = served.take([submission(path) * before + broken])
        assert [what[2] for what in asked] == [b"{}"] * before
        assert wire.written.count(b"HTTP/1.1 200") == before
        assert wire.closed


@settings(deadline=None, max_examples=100)
@given(stream=streams(), data=st.data())
def test_a_half_close_asks_for_what_is_complete(served: Served, stream: bytes, data: st.DataObject) -> None:
    whole, _ = served.take([stream])
    closed, wire = served.half_close([stream])
    assert_same(closed, whole)
    assert wire.written.count(b"HTTP/1.1 200") >= len(closed) - 1
    cut = data.draw(st.integers(0, len(stream)))
    part, _ = served.half_close([stream[:cut]])
    assert_same(part, whole[: len(part)])
