"""One client that listens to a board."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from service.contract.streams import Sink
from service.stream.events import HEARTBEAT, write_retry, write_unavailable
from service.stream.feed import Feed, code_of

RETRY_MS: Final = (500, 3_000)
"""The bounds of the random time after which a client comes again. All of a worker that stops must not come at once."""


LIFE_BEATS: Final = (50, 70)
"""The bounds of a stream's life in heartbeats: a quarter of an hour. Its client then shows its credential again."""


class Farewell:
    """The stream of a client that came as the worker stops (`Stream`): it is to come again, to another one.

    A browser gives up at an answer that is an error, and comes again after the end of a stream.
    """

    def spell(self) -> None:
        """No number is sent."""

    def begin(self, sink: Sink) -> None:
        """Send when to come again, and end."""
        sink.push(write_retry(random.randint(*RETRY_MS)))
        sink.end()

    def resume(self) -> None:
        """Nothing is left to send."""

    def close(self) -> None:
        """Nothing is held."""


class Listener:
    """A listener (`Stream`). It keeps the name of the state that its client has, and nothing else of it.

    A client that reads too slowly gets nothing meanwhile, and then the way from its state to the newest one.
    """

    __slots__ = (
        "_feed",
        "_has",
        "_limit",
        "_on_begin",
        "_on_close",
        "_sink",
        "beats",
        "is_behind",
        "is_spelled",
        "user",
    )

    def __init__(
        self,
        feed: Feed,
        limit: int,
        user: str | None,
        has: str | None,
        on_begin: Callable[[Listener], bool],
        on_close: Callable[[Listener], None],
    ) -> None:
        self._feed: Final = feed
        self._limit: Final = limit
        self._has = has
        self._on_begin: Final = on_begin
        self._on_close: Final = on_close
        self._sink: Sink | None = None
        self.is_behind = False
        """Whether the client reads too slowly: it has missed something."""
        self.user: Final = user
        self.is_spelled = False
        """Whether the client gets numbers of 64 bits as texts."""
        self.beats = random.randint(*LIFE_BEATS)
        """Heartbeats until the stream ends, so that its client shows its credential again."""

    def spell(self) -> None:
        """Write numbers of 64 bits as texts."""
        self.is_spelled = True

    def begin(self, sink: Sink) -> None:
        """Send the present state, as a change where the client's one is known."""
        self._sink = sink
        self._feed.listeners.add(self)
        if not self._on_begin(self) or self._feed.stopped:
            self.end()
            return
        self._send_state(write_retry(random.randint(*RETRY_MS)))
        if self.user is not None:
            self._feed.ask_window(self)

    def show(self) -> None:
        """Send the newest state."""
        self._send_state()

    def _send_state(self, ahead: bytes = b"") -> None:
        shown = self._feed.shown
        if shown is not None and self.push(ahead + self._feed.write_block(self._has, self._limit, self.is_spelled)):
            self._has = shown.asOf

    def push(self, block: bytes) -> bool:
        """Send an event. False: the client reads too slowly; it is made up for later."""
        if self._sink is None or not self._sink.push(block):
            self.is_behind = True
            return False
        return True

    def resume(self) -> None:
        """The client reads again: it has missed something, perhaps the beginning or the end of a failure."""
        if self.is_behind:
            self.is_behind = False
            self._send_state()
            if self._feed.failure is not None:
                self.push(write_unavailable(code_of(self._feed.failure)))
            if self.user is not None:
                self._feed.ask_window(self)

    def beat(self) -> None:
        """Keep the connection awake, or end the stream."""
        self.beats -= 1
        if self.beats > 0:
            if self._sink is not None:
                self._sink.push(HEARTBEAT)
        else:
            self.end()

    def end(self) -> None:
        """End the stream; the client is to come again."""
        if self._sink is not None:
            self._sink.push(write_retry(random.randint(*RETRY_MS)))
            self._sink.end()

    def close(self) -> None:
        """The client is gone."""
        if self._sink is not None:
            self._sink.end()
        if self in self._feed.listeners:
            self._feed.listeners.discard(self)
            self._on_close(self)
            self._feed.let_go()
