"""A connection's bytes: however they are cut, the same requests come of them, and every answer is HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.served import Served, assert_same, streams

checked = settings(deadline=None, max_examples=100)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.loop.close()


class Reader:
    """Counts the answers on a wire; llhttp's own parser of answers judges them."""

    def __init__(self, text: bytes) -> None:
        self.statuses: list[int] = []
        self.parser = httptools.HttpResponseParser(self)
        self.parser.feed_data(text)

    def on_message_complete(self) -> None:
        self.statuses.append(self.parser.get_status_code())


@checked
@given(stream=streams(), data=st.data())
def test_how_a_stream_is_cut_does_not_change_what_is_asked(served: Served, stream: bytes, data: st.DataObject) -> None:
    whole, _ = served.take([stream])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]
    in_pieces, _ = served.take(pieces)
    assert_same(in_pieces, whole)
    byte_by_byte, _ = served.take([stream[at : at + 1] for at in range(len(stream))])
    assert_same(byte_by_byte, whole)
    assert not any(what[0] == "submitScore" and what[3] == "trailer" for what in whole)


@checked
@given(stream=streams(), data=st.data())
def test_a_stream_that_breaks_off_asks_for_nothing_that_the_whole_does_not(
    served: Served, stream: bytes, data: st.DataObject
) -> None:
    whole, _ = served.take([stream])
    places = st.integers(0, len(stream)) | st.integers(max(0, len(stream) - 30), len(stream))
    for cut in data.draw(st.lists(places, min_size=1, max_size=4)):
        part, _ = served.take([stream[:cut]])
        assert_same(part, whole[: len(part)])


@pytest.mark.parametrize("target", [b"/v1/seasons/s/scores", b"/v1/seasons/%73/scores"])
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 4\r\n\r\nbody",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nX: y\r\n\r\n",
    ],
)
def test_wherever_one_request_breaks_off_it_was_never_asked(served: Served, target: bytes, rest: bytes) -> None:
    stream = b"POST %b HTTP/1.1\r\nHost: h\r\n%b" % (target, rest)
    assert served.take([stream])[0] == [("submitScore", "s", b"body", None)]
    for cut in range(len(stream)):
        assert served.take([stream[:cut]])[0] == []
        assert served.take([stream[at : at + 1] for at in range(cut)])[0] == []


@checked
@given(stream=streams() | st.binary(max_size=200))
def test_whatever_comes_every_answer_is_http_and_none_is_too_many(served: Served, stream: bytes) -> None:
    asked, wire = served.take([stream])
    if b"HEAD " in stream:
        return  # whose answers have a length and no body: no parser could tell by itself
    statuses = [status for status in Reader(wire.written).statuses if status != 100]
    assert statuses.count(200) == len(asked)
    assert all(status < 500 or status == 505 for status in statuses)
