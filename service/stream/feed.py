"""One board of a worker that somebody listens to: it is read once for all of them, when it has changed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from board.errors import LeaderboardError
from board.process.backoff import Backoff
from board.segments import split_board
from service.contract.answers import Answer, PendingAnswer
from service.contract.failures import answer_of
from service.stream.events import write_change, write_event, write_snapshot, write_unavailable
from service.stream.types import SIDE, Shown

if TYPE_CHECKING:
    from service.stream.listener import Listener

CONFLATED_S: Final = 0.25
"""A listener gets one change in this time at most, however many submissions there are."""
LOOK_S: Final = 25
"""One wait for a change."""
NAMES_S: Final = 0.5
"""Between two looks for other names of players: a rename changes no board."""
LINGER_S: Final = 10
"""A board that nobody listens to is given up after this time. A client that comes back until then resumes."""
KEPT: Final = 32
"""States that a client may resume from: eight seconds of a board that changes all the time."""
AHEAD_MOST_S: Final = 0.1
"""A read begins before its change may be sent, by the time that the last one took, and this at most."""
TURN: Final = 200
"""Listeners that are written to in one turn of the loop. Other requests come between."""

_decode: Final = msgspec.json.Decoder(Shown).decode


class Boards(Protocol):
    """The reads of boards, as JSON."""

    def read_top(self, season: str, limit: int, *, since: str | None = None, wait: int = 0) -> PendingAnswer:
        """Read the best players; with `since` as soon as the board has another state, or 304 after `wait` seconds."""

    async def look_at_names(self) -> int:
        """A number that is another one after players' names have changed. Raises `BoardUnavailable`."""

    def read_around(
        self, season: str, user: str | None, score: int | None, side: int, fill: bool, version: int | None
    ) -> PendingAnswer:
        """Read a player among the neighbours."""


class Feed:
    """The states of one board, of a season or of a segment, and its listeners.

    It stops when it has had none for `LINGER_S`; `on_stop` is told.

    It reads as many rows as the listener with the longest list has asked for.
    """

    def __init__(self, boards: Boards, board: str, on_stop: Callable[[], None]) -> None:
        self.board: Final = board
        self.listeners: Final[set[Listener]] = set()
        self.shown: Shown | None = None
        self.failure: LeaderboardError | None = None
        """The error of the last read, if it failed."""
        self.stopped = False
        self._boards: Final = boards
        self._on_stop: Final = on_stop
        self._states: Final[OrderedDict[str, Shown]] = OrderedDict()
        self._blocks: Final[dict[tuple[str | None, int, bool], bytes]] = {}
        self._tried: Final = asyncio.Event()
        self._rows = 0
        self._rows_shown = 0
        self._reading: asyncio.Task[Answer] | None = None
        self._is_widened = False
        """Whether the read under way was ended, to be begun again: with more rows, or with other names."""
        self._names = 0
        self._names_shown = 0
        """The last look at names, and the one before the read of the rows that are shown."""
        self._renamed: str | None = None
        """The state whose rows were shown with different names: clients that have it may have either."""
        self._windows: Final[set[asyncio.Task[None]]] = set()
        self._loop: Final = asyncio.get_running_loop()
        self._task: Final = self._loop.create_task(self._run())
        self._task.add_done_callback(self._end)
        self._namer: Final = self._loop.create_task(self._follow_names())
        self._namer.add_done_callback(self._end)
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
        self._namer.cancel()
        for task in self._windows:
            task.cancel()
        for listener in list(self.listeners):
            listener.end()
        self._tried.set()

    def _end(self, task: asyncio.Task[None]) -> None:
        self.stop()
        if not task.cancelled():
            task.result()

    async def wait_for_rows(self, rows: int) -> None:
        """Wait until the board has been read with so many rows, or could not be."""
        if rows > self._rows:
            self._rows = rows
            if self.failure is None:
                self._tried.clear()
            self._begin_again()
        await self._tried.wait()

    def _begin_again(self) -> None:
        """End the read under way, for one that fits."""
        if self._reading is not None:
            self._is_widened = True
            self._reading.cancel()

    async def _follow_names(self) -> None:
        """Read the rows again when names have changed."""
        while True:
            try:
                names = await self._boards.look_at_names()
            except LeaderboardError:
                names = self._names  # the reads tell what is wrong
            if names != self._names:
                self._names = names
                self._begin_again()
            await asyncio.sleep(NAMES_S)

    async def _run(self) -> None:
        """Read the board whenever it has changed.

        The first read after a change does not wait, and begins early: on a busy machine its own time would be added to
        the age of every change.
        """
        backoff = Backoff(0.1, 2.0)
        wait, took, due = 0, 0.0, 0.0
        while True:
            rows, names, began = self._rows, self._names, self._loop.time()
            try:
                answer = await self._read(rows, names, wait)
            except asyncio.CancelledError:
                if self.stopped or not self._is_widened:
                    raise
                continue
            except LeaderboardError as error:
                await self._fail(error)
                await asyncio.sleep(backoff.failed())
                wait = 0  # the end of it is told, whether or not anything has changed
                continue
            backoff.succeeded()
            if wait == 0:
                took = min(self._loop.time() - began, AHEAD_MOST_S)
            if answer.status == 200:
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                due = self._loop.time() + CONFLATED_S
            await self._take(answer, rows, names)
            if answer.status == 200:
                following, wait = due - took, 0
            else:
                # A worker may be too full to let a read wait. Then it is asked no more often.
                following, wait = began + CONFLATED_S if wait else 0.0, LOOK_S
            await asyncio.sleep(max(0.0, following - self._loop.time()))

    async def _read(self, rows: int, names: int, wait: int) -> Answer:
        """Read the board as soon as it has another state than the one that is shown; 304 after `wait` seconds."""
        shown = self.shown if self._rows_shown >= rows and self._names_shown == names else None
        self._is_widened = False
        read = self._boards.read_top(self.board, rows, since=None if shown is None else shown.asOf, wait=wait)
        self._reading = asyncio.ensure_future(read)
        try:
            return await self._reading
        finally:
            self._reading = None

    async def _take(self, answer: Answer, rows: int, names: int) -> None:
        """Take a read of so many rows, as of a look at names: show it, if there is anything new in it.

        That is another state, the first one after a failure, or another name on a row.
        """
        before = self.shown
        failed, self.failure = self.failure, None
        has_names = is_renamed = False
        if answer.status == 200:
            has_names, self._names_shown = names != self._names_shown, names
            shown = _decode(answer.body)
            is_renamed = before is not None and before.asOf == shown.asOf and has_other_rows(before, shown)
            self._keep(shown, rows)
        if rows >= self._rows:
            self._tried.set()
        assert self.shown is not None
        if is_renamed:
            self._renamed = self.shown.asOf
            self._states.pop(self._renamed, None)
        elif failed is None and before is not None and before.asOf == self.shown.asOf:
            if has_names:
                await self._show_windows()
            return
        await self._each(lambda listener: listener.show())
        await self._show_windows()

    def _keep(self, shown: Shown, rows: int) -> None:
        """Keep a state. Rows that are as before are kept once."""
        if self.shown is not None:
            for at, (old, new) in enumerate(zip(self.shown.items, shown.items, strict=False)):
                if old == new:
                    shown.items[at] = old
        self.shown, self._rows_shown = shown, rows
        if shown.asOf != self._renamed:
            self._states[shown.asOf] = shown
            self._states.move_to_end(shown.asOf)
        if len(self._states) > KEPT:
            self._states.popitem(last=False)
        self._blocks.clear()

    async def _fail(self, error: LeaderboardError) -> None:
        """The board cannot be read: say so once."""
        first, self.failure = self.failure is None, error
        self._tried.set()
        if first:
            block = write_unavailable(code_of(error))
            await self._each(lambda listener: listener.push(block))

    async def _each(self, act: Callable[[Listener], object]) -> None:
        for at, listener in enumerate(list(self.listeners)):
            if at and at % TURN == 0:
                await asyncio.sleep(0)
            act(listener)

    def write_block(self, before: str | None, limit: int, spelled: bool) -> bytes:
        """The event that leads from a state to the present one: a change where that state is known, else a snapshot.

        `spelled`: its numbers of 64 bits are texts.
        """
        shown = self.shown
        assert shown is not None
        old = None if before is None else self._states.get(before)
        key = (None if old is None else old.asOf, limit, spelled)
        block = self._blocks.get(key)
        if block is None:
            if old is not None and leads_on(old, shown, limit):
                block = write_change(old, shown, limit, spelled=spelled)
            else:
                block = write_snapshot(shown, limit, spelled=spelled)
            self._blocks[key] = block
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
            answer = await self._boards.read_around(self.board, user, None, SIDE, True, None)
            data: Any = answer.body
        except LeaderboardError as error:
            if error.code not in ("player-not-found", "season-not-found") or self.shown is None:
                return
            total, as_of = self.shown.total, self.shown.asOf
            season, segment = split_board(self.board)
            data = {"seasonId": season, "userId": user, "range": SIDE, "items": [], "total": total, "asOf": as_of}
            data |= {"segment": segment} if segment else {}
        blocks: dict[bool, bytes] = {}
        for listener in listeners:
            if (block := blocks.get(listener.is_spelled)) is None:
                block = blocks[listener.is_spelled] = write_event(b"around", data, spelled=listener.is_spelled)
            listener.push(block)


def code_of(error: LeaderboardError) -> str:
    """The code of docs/errors.md for the error of a read."""
    return str(msgspec.json.decode(answer_of(error).body)["code"])


def has_other_rows(before: Shown, after: Shown) -> bool:
    """Whether a row of both lists differs. They may be of different lengths."""
    return any(old != new for old, new in zip(before.items, after.items, strict=False))


def leads_on(before: Shown, after: Shown, limit: int) -> bool:
    """Whether a change leads from a state to a later one: both have so many rows, and are of one period.

    A new period begins with a list of its own.
    """
    has_rows = len(before.items) >= min(limit, before.total)
    return has_rows and before.asOf.partition(".")[0] == after.asOf.partition(".")[0]
