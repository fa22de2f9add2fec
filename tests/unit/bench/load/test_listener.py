"""A listener of the bench: it has the list that the events describe, however they are cut, and counts delays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.load.listener import BASE, CLOCK, Board, Listener, apply_change
from service.stream.events import write_change, write_retry, write_snapshot
from service.stream.types import Shown

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def shown(as_of: str, *pairs: tuple[str, int]) -> Shown:
    return Shown("s", [{"rank": n, "userId": u, "score": s} for n, (u, s) in enumerate(pairs, 1)], len(pairs), as_of)


FIRST = shown("1.1", (CLOCK, BASE + 100), ("ada", 5), ("bob", 4))
SECOND = shown("1.2", (CLOCK, BASE + 900), ("bob", 9), ("ada", 5), ("cy", 1))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def listening(board: Board, pieces: list[bytes]) -> Listener:
    """A listener that got these pieces."""

    async def take() -> Listener:
        made = Listener(board, b"", lambda: None)
        for piece in pieces:
            made.data_received(piece)
        return made

    return asyncio.run(take())


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_it_has_the_list_however_it_is_cut(size: int) -> None:
    sent = HEAD + chunk(write_retry(500) + write_snapshot(FIRST, 10)) + chunk(b":\n\n")
    sent += chunk(write_change(FIRST, SECOND, 10))
    made = listening(Board("s", [0] * 60_001), [sent[at : at + size] for at in range(0, len(sent), size)])
    assert (made.rows, made.as_of, made.events, made.refused) == (SECOND.items, "1.2", 2, 0)


def test_another_answer_is_no_stream() -> None:
    called = []

    class Transport:
        closed = False

        def close(self) -> None:
            self.closed = True

    async def take() -> Listener:
        made = Listener(Board("s", [0] * 60_001), b"", lambda: called.append(1))
        made.transport = Transport()  # type: ignore[assignment]
        made.data_received(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        return made

    made = asyncio.run(take())
    assert (made.refused, called, made.transport.closed) == (503, [1], True)  # type: ignore[attr-defined]


def test_a_stream_that_ends_before_its_first_event_is_told() -> None:
    called: list[int] = []

    async def take() -> Listener:
        made = Listener(Board("s", [0] * 60_001), b"", lambda: called.append(1))
        made.data_received(HEAD)
        assert not called
        made.connection_lost(None)
        return made

    made = asyncio.run(take())
    assert (made.ended, made.events, called) == (True, 0, [1])


def test_each_mark_between_two_lists_is_counted_once_with_its_delay() -> None:
    board = Board("s", [0] * 60_001)
    board.sent[:] = [100, 400_000, 900_000, 1_700_000]
    board.note_delays(100, 900_000, 1_000_000)
    assert {at: count for at, count in enumerate(board.delays) if count} == {600: 1, 100: 1}
    board.note_delays(900_000, 1_700_000, 10**9)
    assert board.delays[60_000] == 1


def test_a_change_that_leaves_a_gap_is_an_error() -> None:
    rows: list[dict[str, Any]] = [{"rank": 1, "userId": "a", "score": 1}]
    with pytest.raises(KeyError):
        apply_change(rows, {"left": [], "rows": [{"position": 3, "rank": 3, "userId": "b", "score": 0}]})
