"""The streams of one worker: their number, their heartbeats, and their end with the worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from board.segments import name_segment_board
from service.contract.answers import Answer
from service.contract.failures import answer_of
from service.contract.leaving import Leaving
from service.contract.problems import Rejected, add_problem
from service.contract.streams import EVENT_STREAM
from service.stream.feed import Boards, Feed
from service.stream.listener import Farewell, Listener

BEAT_S: Final = 15
"""Seconds between two heartbeats of a stream; proxies give up after half a minute or more."""
AGAIN_S: Final = (2, 10)
"""The bounds of `Retry-After` where there are too many streams."""

TOO_MANY_STREAMS: Final = add_problem(
    "too-many-streams",
    503,
    "Too many clients listen to boards.",
    "The worker has `LEADERBOARD_STREAMS` streams, or `LEADERBOARD_STREAMS_OF_PLAYERS` with `userId`. Poll meanwhile.",
)
HEADERS: Final = (("x-accel-buffering", "no"),)
"""nginx would keep back what comes until its buffer is full."""


class BoardStreams:
    """The listeners of one worker, `most` at once, of which `players_most` ask for windows around players.

    `on_drop` is called for each whose client did not read when it ended.
    """

    def __init__(
        self,
        boards: Boards,
        leaving: Leaving,
        *,
        most: int,
        players_most: int,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_drop: Final = on_drop
        self._boards: Final = boards
        self._leaving: Final = leaving
        self._most: Final = most
        self._players_most: Final = players_most
        self._loop: Final = asyncio.get_running_loop()
        self._feeds: dict[str, Feed] = {}
        self._open: set[Listener] = set()
        self._opening = 0
        """Streams that wait for the first read of their board."""
        self._players = 0
        self._beats: Final[list[set[Listener]]] = [set() for _ in range(BEAT_S)]
        self._at = 0
        self._timer = self._loop.call_later(1, self._beat)
        leaving.add(self._end_all)

    @property
    def count(self) -> int:
        """The number of streams."""
        return len(self._open)

    @property
    def player_count(self) -> int:
        """The number of those with windows around players."""
        return self._players

    async def listen(
        self, season: str, limit: int, user: str | None, segment: str | None, last_event_id: str | None
    ) -> Answer:
        """Listen to a board, of a season or a segment of it: an answer without an end, of Server-Sent Events.

        Raises `Rejected` where there are too many, and what reading the board raises.
        """
        if self._leaving.began:
            return Answer(200, b"", EVENT_STREAM, headers=HEADERS, stream=Farewell())
        board = season if segment is None else name_segment_board(season, segment)
        feed = self._feeds.get(board)
        too_many = (
            len(self._open) + self._opening >= self._most
            or (user is not None and self._players >= self._players_most)
            or (feed is None and len(self._feeds) >= self._most)
        )
        if too_many:
            return msgspec.structs.replace(TOO_MANY_STREAMS.answer, retry_after_s=random.randint(*AGAIN_S))
        if feed is None:
            feed = self._feeds[board] = Feed(self._boards, board, partial(self._forget, board))
        self._opening += 1
        try:
            await feed.wait_for_rows(limit)
        finally:
            self._opening -= 1
        if feed.failure is not None:
            if isinstance(feed.failure, Rejected) and not feed.listeners:
                feed.stop()  # there is no such board, so the next read would say the same
            return answer_of(feed.failure)
        listener = Listener(feed, limit, user, last_event_id, self._enter, self._leave)
        return Answer(200, b"", EVENT_STREAM, headers=HEADERS, stream=listener)

    def _enter(self, listener: Listener) -> bool:
        """Count a stream; False if others have taken the room since it was admitted."""
        self._open.add(listener)
        self._players += listener.user is not None
        min(self._beats, key=len).add(listener)
        return len(self._open) <= self._most and self._players <= self._players_most

    def _leave(self, listener: Listener) -> None:
        if listener in self._open:
            self._open.discard(listener)
            self._players -= listener.user is not None
            if listener.is_behind:
                self._on_drop()
            for beats in self._beats:
                beats.discard(listener)

    def _forget(self, board: str) -> None:
        del self._feeds[board]

    def _beat(self) -> None:
        """Once a second: the heartbeats of some of the streams."""
        self._timer = self._loop.call_later(1, self._beat)
        self._at = (self._at + 1) % BEAT_S
        for listener in list(self._beats[self._at]):
            listener.beat()

    def _end_all(self) -> None:
        """The worker stops: its clients are to come again, to another one."""
        self._timer.cancel()
        for feed in list(self._feeds.values()):
            feed.stop()
