"""One board of a worker that somebody listens to: it is read once for all of them, when it has changed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from board.errors import LeaderboardError
from board.process.backoff import Backoff
from service.contract.answers import Answer, PendingAnswer
from service.stream.events import write_change, write_event, write_snapshot, write_unavailable
from service.stream.types import LIMIT_MOST, SIDE, Shown

if TYPE_CHECKING:
    from service.stream.listener import Listener

CONFLATED_S: Final = 0.25
"""A listener gets one change in this time at most, however many submissions there are."""
LOOK_S: Final = 25
"""One wait for a change."""
LINGER_S: Final = 10
"""A board that nobody listens to is given up after this time. A client that comes back until then resumes."""
KEPT: Final = 64
"""States that a client may resume from."""
TURN: Final = 200
"""Listeners that are written to in one turn of the loop. Other requests come between."""

_decode: Final = msgspec.json.Decoder(Shown).decode


class Boards(Protocol):
    """The reads of boards, as JSON."""

    def read_top(self, season: str, limit: int, *, since: str | None = None, wait: int = 0) -> PendingAnswer:
        """Read the best players; with `since` as soon as the board has another state, or 304 after `wait` seconds."""

    def read_around(
        self, season: str, user: str | None, score: int | None, side: int, fill: bool, version: int | None
    ) -> PendingAnswer:
        """Read a player among the neighbours."""


class Feed:
    """The states of one board, and its listeners. It stops when it has had none for `LINGER_S`; `on_stop` is told."""

    def __init__(self, boards: Boards, season: str, on_stop: Callable[[], None]) -> None:
        self.season: Final = season
        self.listeners: Final[set[Listener]] = set()
        self.shown: Shown | None = None
        self.failure: LeaderboardError | None = None
        """The error of the last read, if it failed."""
        self.stopped = False
        self._boards: Final = boards
        self._on_stop: Final = on_stop
        self._states: Final[OrderedDict[str, Shown]] = OrderedDict()
        self._blocks: Final[dict[tuple[str | None, int], bytes]] = {}
        self._tried: Final = asyncio.Event()
        self._windows: Final[set[asyncio.Task[None]]] = set()
        self._loop: Final = asyncio.get_running_loop()
        self._task: Final = self._loop.create_task(self._run())
        self._task.add_done_callback(self._end)
        self.let_go()

    def let_go(self) -> None:
        """Somebody listens no more, or not yet: stop in a while, unless others do."""
        if not self.listeners and not self.stopped:
            self._loop.call_later(LINGER_S, self._stop_if_idle)

    def _stop_if_idle(self) -> None:
        if not self.listeners:
            self.stop()

    def stop(self) -> None:
        """Read no more, and end the listeners. Further calls do nothing."""
        if self.stopped:
            return
        self.stopped = True
        self._on_stop()
        self._task.cancel()
        for task in self._windows:
            task.cancel()
        for listener in list(self.listeners):
            listener.end()
        self._tried.set()

    def _end(self, task: asyncio.Task[None]) -> None:
        self.stop()
        if not task.cancelled():
            task.result()

    async def wait_for_first(self) -> None:
        """Wait until the board has been read once, or could not be."""
        await self._tried.wait()

    async def _run(self) -> None:
        """Read the board whenever it has changed."""
        backoff = Backoff(0.1, 2.0)
        while True:
            as_of = None if self.shown is None else self.shown.asOf
            # After a failure without a wait: the end of it is told, whether or not anything has changed.
            wait = LOOK_S if self.failure is None else 0
            try:
                answer = await self._boards.read_top(self.season, LIMIT_MOST, since=as_of, wait=wait)
            except LeaderboardError as error:
                await self._fail(error)
                await asyncio.sleep(backoff.failed())
            else:
                backoff.succeeded()
                began = self._loop.time()
                await self._take(answer)
                await asyncio.sleep(max(0.0, began + CONFLATED_S - self._loop.time()))

    async def _take(self, answer: Answer) -> None:
        """Take a read: show it, if it is of another state, or the first one after a failure."""
        failed, self.failure = self.failure, None
        if answer.status == 200:
            self.shown = shown = _decode(answer.body)
            self._states[shown.asOf] = shown
            self._states.move_to_end(shown.asOf)
            if len(self._states) > KEPT:
                self._states.popitem(last=False)
            self._blocks.clear()
        elif failed is None:
            return
        self._tried.set()
        await self._each(lambda listener: listener.show())
        await self._show_windows()

    async def _fail(self, error: LeaderboardError) -> None:
        """The board cannot be read: say so once."""
        first, self.failure = self.failure is None, error
        self._tried.set()
        if first:
            block = write_unavailable(error.code)
            await self._each(lambda listener: listener.push(block))

    async def _each(self, act: Callable[[Listener], object]) -> None:
        for at, listener in enumerate(list(self.listeners)):
            if at and at % TURN == 0:
                await asyncio.sleep(0)
            act(listener)

    def write_block(self, before: str | None, limit: int) -> bytes:
        """The event that leads from a state to the present one: a change where that state is known, else a snapshot."""
        shown = self.shown
        assert shown is not None
        old = None if before is None else self._states.get(before)
        key = (None if old is None else old.asOf, limit)
        block = self._blocks.get(key)
        if block is None:
            # A new period begins with a list of its own.
            same = old is not None and old.asOf.partition(".")[0] == shown.asOf.partition(".")[0]
            made = write_change(old, shown, limit) if same and old is not None else write_snapshot(shown, limit)
            block = self._blocks[key] = made
        return block

    def ask_window(self, listener: Listener) -> None:
        """Read the window around the player of a listener."""
        task = self._loop.create_task(self._show_window(listener.user or "", [listener]))
        self._windows.add(task)
        task.add_done_callback(self._windows.discard)

    async def _show_windows(self) -> None:
        """Read each player's window once. Ranks that are asked for in one turn of the loop are few calls."""
        players: dict[str, list[Listener]] = {}
        for listener in self.listeners:
            if listener.user is not None:
                players.setdefault(listener.user, []).append(listener)
        await asyncio.gather(*(self._show_window(user, listeners) for user, listeners in players.items()))

    async def _show_window(self, user: str, listeners: list[Listener]) -> None:
        try:
            answer = await self._boards.read_around(self.season, user, None, SIDE, True, None)
            data: Any = answer.body
        except LeaderboardError as error:
            if error.code not in ("player-not-found", "season-not-found") or self.shown is None:
                return
            total, as_of = self.shown.total, self.shown.asOf
            data = {"seasonId": self.season, "userId": user, "range": SIDE, "items": [], "total": total, "asOf": as_of}
        block = write_event(b"around", data)
        for listener in listeners:
            listener.push(block)
