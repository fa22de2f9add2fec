"""Reading boards from Redis, as JSON bytes. Equal reads of a top list that overlap are one read."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from board.redis.scripts import script
from board.segments import name_segment_board, split_board
from service.boards.board_watch import COUNT
from service.boards.calls import BoardCalls, BoardState, read_run, read_score_of, read_state
from service.boards.cursors import Cursor, encode_cursor
from service.boards.histogram import HISTOGRAM, QUANTILES
from service.boards.long_polls import SINCE_OR_PERIOD, LongPolls, reject
from service.boards.lookup import LOOKUP
from service.boards.past_boards import PastBoards
from service.boards.profile_cache import PROFILES
from service.boards.profiles import ShownProfiles
from service.boards.rank_reads import RANK, RankReads, Show, Window
from service.boards.ranked_score import SCORE
from service.boards.run_metadata import RunMetadata
from service.boards.score_places import PLACE, USER_OR_SCORE, ScorePlaces
from service.boards.segments import SEGMENT_OR_PERIOD, encode_board, segment_of
from service.boards.shared_ranks import percentile_of, rank_at, render_board, split_rank
from service.boards.types import Count, PlayerRank
from service.boards.version_waits import NOT_YET_VISIBLE, Read, VersionWaits, version_of
from service.contract.answers import Answer, PendingAnswer
from service.contract.problems import INVALID_CURSOR, INVALID_USER, Rejected, add_problem

TOP: Final = script("top")
PAGE: Final = script("page")
SCRIPTS: Final = (TOP, PAGE, RANK, COUNT, LOOKUP, SCORE, QUANTILES, HISTOGRAM, PLACE, PROFILES)
"""Loaded with each connection to Redis."""
CACHED_MOST: Final = 4_096
"""Top lists in memory."""

CURSOR_OR_OFFSET: Final = add_problem(
    "cursor-or-offset",
    400,
    "The query has both cursor and offset.",
    "The query has a `cursor`, which goes on from the page before, and an `offset` from the first player.",
)

TopKey = tuple[str, int, int, tuple[str, ...]]
"""Board, limit, offset, attributes."""
T = TypeVar("T")
Pending = asyncio.Future[T] | Coroutine[Any, Any, T]
"""A read under way, or one that begins when it is awaited."""

_encode = msgspec.json.Encoder().encode


class BoardReader:
    """The reads of one worker. A top list is reused for `cache_s` seconds, and a version waited for for `deadline_s`.
    `past` reads periods by their number, `profiles` those of the players on rows.

    Every read raises `BoardRebuilding` or `BoardUnavailable` rather than show a part of a board. A board that was
    altered by hand is suspected: a relay then compares and rebuilds it.
    """

    def __init__(
        self,
        calls: BoardCalls,
        rank_reads: RankReads,
        waits: VersionWaits,
        polls: LongPolls,
        past: PastBoards,
        run_metadata: RunMetadata,
        profiles: ShownProfiles,
        *,
        cache_s: float,
        deadline_s: float,
    ) -> None:
        self._past: Final = past
        self._score_places: Final = ScorePlaces(calls)
        self._profiles: Final = profiles
        self._call: Final = calls.call
        self._reading: Final = calls.reading
        self._rank_reads: Final = rank_reads
        self._version_waits: Final = waits
        self._polls: Final = polls
        self._run_metadata: Final = run_metadata
        self._cache_s: Final = cache_s
        self._deadline_s: Final = deadline_s
        self._loop: Final = asyncio.get_running_loop()
        self._cached: dict[TopKey, asyncio.Future[Answer]] = {}
        self._cached_since = 0.0
        self._asked: dict[TopKey, tuple[asyncio.Task[Answer], float]] = {}
        self._name_changes = 0

    def read_top(
        self,
        season: str,
        limit: int,
        offset: int = 0,
        cursor: Cursor | None = None,
        period: int | None = None,
        since: str | None = None,
        attributes: tuple[str, ...] = (),
        segment: str | None = None,
        wait: int = 0,
    ) -> PendingAnswer:
        """Read the best `limit` players after the first `offset` (`Top`); an unknown season has none.

        With a `segment`, here and in all other reads, those of its players, with their ranks among them. Only the
        current period has boards of segments.
        With a `cursor` those behind its row. Raises `Rejected` for a cursor of another board, and one with an offset.
        With `since` 304 as long as the board is in that state: it waits up to `wait` seconds for another one.
        PERF: a kept list needs no task.
        """
        if segment is not None:
            if period is not None:
                return reject(SEGMENT_OR_PERIOD)
            season = name_segment_board(season, segment)
        key = (season, limit, offset, attributes)
        if since is not None:
            if period is not None or cursor is not None:
                return reject(SINCE_OR_PERIOD)
            return self._polls.poll(season, since, wait, lambda: self._join_read(key, self._loop.time()))
        if cursor is not None:
            return self._profiles.join(self._read_page(season, limit, offset, cursor, period), attributes)
        if period is not None:
            # Not of the kept ones: those may be of the period before.
            live = partial(self._fetch_rows, season, limit, offset)
            return self._profiles.join(self._past.read_top(season, period, limit, offset, None, live), attributes)
        now = self._loop.time()
        if now - self._cached_since > self._cache_s or len(self._cached) >= CACHED_MOST:
            self._cached.clear()
            self._cached_since = now
        elif (answer := self._cached.get(key)) is not None:
            return answer
        return self._join_read(key, now)

    async def look_at_names(self) -> int:
        """A number that is another one after players' names have changed: lists that are read from now on show them.

        Raises `BoardUnavailable`.
        """
        changes = await self._profiles.count_changes()
        if changes != self._name_changes:
            self._name_changes = changes
            # A list that is kept, or read now, may have the names before. `_cached_since`: the latter is not kept.
            self._cached.clear()
            self._asked.clear()
            self._cached_since = self._loop.time()
        return changes

    async def _join_read(self, key: TopKey, now: float) -> Answer:
        """Wait for the read of a list that is under way, or begin it."""
        task, began = self._asked.get(key, (None, 0.0))
        # A read under way for longer may be older than a reset that is already answered (`SeasonReset`).
        if task is None or now - began > self._cache_s:
            task = self._loop.create_task(self._fetch_top(key))
            self._asked[key] = (task, now)
            task.add_done_callback(partial(self._forget_read, key))
        # Shielded: a client that hangs up must not cancel the read of the others.
        return await asyncio.shield(task)

    def _forget_read(self, key: TopKey, task: asyncio.Task[Answer]) -> None:
        if self._asked.get(key, (None, 0.0))[0] is task:
            del self._asked[key]

    async def _fetch_top(self, key: TopKey) -> Answer:
        season, limit, offset, attributes = key
        began = self._cached_since
        answer = await self._profiles.show(await self._fetch_rows(season, limit, offset), attributes)
        # Kept only in the window in which it was asked for: no answer gets older than the window is long. Pages are not
        # kept, since there are too many of them.
        if self._cached_since == began and not offset:
            self._cached[key] = kept = self._loop.create_future()
            kept.set_result(answer)
        return answer

    async def _read_page(self, season: str, limit: int, offset: int, cursor: Cursor, period: int | None) -> Answer:
        """Read the page behind the row of a cursor. Raises `Rejected` for one of another board."""
        if offset:
            raise Rejected(CURSOR_OR_OFFSET.answer)
        cursor.check(season)
        live = partial(self._fetch_page, season, limit, cursor)
        return await (live() if period is None else self._past.read_top(season, period, limit, 0, cursor, live))

    async def _fetch_page(self, season: str, limit: int, cursor: Cursor) -> Answer:
        """Read the page behind the row of a cursor. Raises `Rejected` for one of another period."""
        row = (b"%d" % cursor.period, repr(cursor.zscore).encode(), cursor.member)
        reply = await self._call(PAGE, season, b"%d" % limit, *row)
        first, entries = reply[3:]
        if first < 0:
            raise Rejected(INVALID_CURSOR.answer)
        with self._reading(season):
            return _show_page(season, limit, first, entries, read_state(reply))

    async def _fetch_rows(self, season: str, limit: int, offset: int) -> Answer:
        """A top list without profiles."""
        ranks = (b"%d" % (offset + limit - 1), b"%d" % offset) if offset else (b"%d" % (limit - 1),)
        reply = await self._call(TOP, season, *ranks)
        with self._reading(season):
            return _show_page(season, limit, offset, reply[3], read_state(reply))

    def read_rank(
        self,
        season: str,
        user: str,
        version: int | None,
        metadata: bool = False,
        period: int | None = None,
        segment: str | None = None,
    ) -> PendingAnswer:
        """Read a player's rank (`PlayerRank`), as soon as the board shows this version or a later one.

        Only if they are asked for, with the `metadata` of the run that counts. Raises `Rejected` if the board does not
        show the version, and without one `SeasonNotFound`, `PlayerNotFound`; for metadata also `StoreUnavailable` and
        `ServerUnreachable`.
        """
        if segment is not None:
            if period is not None:
                return reject(SEGMENT_OR_PERIOD)
            season = name_segment_board(season, segment)
        if period is not None:
            live = partial(self.read_rank, season, user, version, metadata)
            return self._past.read_rank(season, period, user, version, metadata, live)
        if metadata:
            return self._read_rank_with_metadata(season, user, version)
        return self._ask(season, user, 0, partial(_show_rank, season, user), version)

    async def _read_rank_with_metadata(self, season: str, user: str, version: int | None) -> Answer:
        shown, state = await self._ask(season, user, 0, partial(_make_rank, season, user), version)
        found = await self._run_metadata.find(state.period, user, shown.version)
        # Without an entity tag: metadata may change while the board does not.
        return Answer(200, state.add_period(_encode(msgspec.structs.replace(shown, metadata=found))))

    def read_around(
        self,
        season: str,
        user: str | None,
        score: int | None,
        side: int,
        fill: bool,
        version: int | None,
        period: int | None = None,
        attributes: tuple[str, ...] = (),
        segment: str | None = None,
    ) -> PendingAnswer:
        """Read a player and `side` neighbours on each side (`Around`); with `fill` as many as there are, in all.

        With a `score` in place of a player: the place of a new row. The window that is read for `fill` is twice as wide
        on each side, so it has all entries that can be shown. `version` and errors are those of `read_rank`.
        """
        if segment is not None:
            if period is not None:
                return reject(SEGMENT_OR_PERIOD)
            season = name_segment_board(season, segment)
        if score is not None or user is None:
            placed = self._read_place(season, user, score, side, fill, version, period)
            return self._profiles.join(placed, attributes)
        live = partial(self._read_window, season, user, side, fill, version)
        if period is None:
            return self._profiles.join(live(), attributes)
        past = self._past.read_around(season, period, user, side, fill, version, live)
        return self._profiles.join(past, attributes)

    def _read_window(self, season: str, user: str, side: int, fill: bool, version: int | None) -> PendingAnswer:
        """A window without profiles."""
        read = 2 * side if fill else side
        return self._ask(season, user, read, partial(_show_around, season, user, side, fill), version)

    async def _read_place(
        self,
        season: str,
        user: str | None,
        score: int | None,
        side: int,
        fill: bool,
        version: int | None,
        period: int | None,
    ) -> Answer:
        if score is None:
            raise Rejected(INVALID_USER.answer)
        if user is not None or version is not None:
            raise Rejected(USER_OR_SCORE.answer)
        live = partial(self._score_places.read, season, score, side, fill)
        return await (live() if period is None else self._past.read_place(season, period, score, side, fill, live))

    def _ask(self, season: str, user: str, side: int, show: Show[T], version: int | None) -> Pending[T]:
        if version is None:
            return self._rank_reads.ask(season, user, side, show)
        show_from = partial(_show_from, version, show)
        return self._wait(season, partial(self._rank_reads.ask, season, user, side, show_from))

    async def _wait(self, season: str, read: Read[T]) -> T:
        found = await self._version_waits.wait(season, read, self._loop.time() + self._deadline_s)
        if found is None:
            raise Rejected(NOT_YET_VISIBLE.answer)
        return found

    async def read_count(self, season: str, period: int | None = None, segment: str | None = None) -> Answer:
        """Count the players on the board (`Count`); 0 for an unknown season."""
        if segment is not None:
            if period is not None:
                return SEGMENT_OR_PERIOD.answer
            season = name_segment_board(season, segment)
        elif period is not None:
            return await self._past.read_count(season, period, lambda: self.read_count(season))
        reply = await self._call(COUNT, season)
        with self._reading(season):
            state = read_state(reply)
        shown = Count(split_board(season)[0], state.total, state.as_of, segment=segment_of(season))
        return state.make_answer(_encode(shown))


def _show_page(season: str, limit: int, first: int, listed: list[Any], state: BoardState) -> Answer:
    """A page of the top list (`Top`) that begins at the place `first`, from 0, from the list of a reply."""
    entries, rank = split_rank(listed, first, state)
    following = b"null"
    if first + limit < state.total and entries:
        following = b'"%b"' % encode_cursor(season, state.period, entries[-1], entries[-2]).encode()
    body = b'{"seasonId":%b,"items":%b,"total":%d,"nextCursor":%b,"asOf":%b}' % (
        encode_board(season),
        render_board(entries, rank, first, state),
        state.total,
        following,
        _encode(state.as_of),
    )
    return state.make_answer(body)


def _show_from(version: int, show: Show[T], window: Window) -> T | None:
    """What `show` makes, unless the window is of an earlier version of the player."""
    return show(window) if version_of(window) >= version else None


def _show_rank(season: str, user: str, window: Window) -> Answer:
    return window[3].make_answer(_encode(_make_rank(season, user, window)[0]))


def _make_rank(season: str, user: str, window: Window) -> tuple[PlayerRank, BoardState]:
    """The rank of a window without neighbours, and its board."""
    rank, member, zscore, state = window
    columns: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    if state.columns:
        score, version, columns = read_run(member, zscore, state)
    else:
        # PERF: nearly all boards.
        score, version = read_score_of(member, zscore, state.order), int.from_bytes(member[2:10], "big")
    percentile = percentile_of(rank, state.total)
    shown = PlayerRank(season, user, rank + 1, score, version, state.total, percentile, state.as_of, columns)
    name, segment = split_board(season)
    if segment:
        shown = msgspec.structs.replace(shown, seasonId=name, segment=segment)
    return shown, state


def _show_around(season: str, user: str, side: int, fill: bool, window: Window) -> Answer:
    place, first, entries, state = window
    if not side:
        # Its rank may be a shared one, and stands for its place, too.
        first, entries, rank = place, [first, entries], place
    else:
        entries, rank = split_rank(entries, first, state)
        if fill:
            first_read, read = first, entries
            first, entries = fill_window(side, place, first_read, read)
            rank = rank_at(read, first - first_read, first_read, rank, state)
    body = b'{"seasonId":%b,"userId":%b,"range":%d,"items":%b,"total":%d,"asOf":%b}' % (
        encode_board(season),
        _encode(user),
        side,
        render_board(entries, rank, first, state),
        state.total,
        _encode(state.as_of),
    )
    return state.make_answer(body)


def fill_window(side: int, rank: int, first_read: int, entries: list[bytes]) -> tuple[int, list[bytes]]:
    """2 * `side` + 1 entries (member, zscore, …) around a rank, or the whole board if it has fewer.

    `entries` begin at the rank `first_read`, from 0, as the result does at its own.
    """
    last = first_read + len(entries) // 2 - 1
    first = max(first_read, min(rank - side, last - 2 * side))
    return first, entries[2 * (first - first_read) : 2 * (first - first_read + 2 * side + 1)]
