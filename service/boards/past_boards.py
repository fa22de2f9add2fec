"""Boards of periods by their number: the current one from Redis, all others from PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from board.columns import read_columns, unpack_columns
from board.errors import BoardRebuilding
from board.partitions import partition_of
from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.season import INT64_MAX, RANKINGS, SHARED, Column, order_of, turn
from service.boards.calls import BoardState, make_state
from service.boards.cursors import Cursor, encode_row
from service.boards.hidden_positions import ALL_SHOWN, HiddenPositions
from service.boards.rank_reads import PlayerNotFound, SeasonNotFound
from service.boards.run_metadata import RunMetadata
from service.boards.shared_ranks import percentile_of
from service.boards.types import Around, Count, PlayerRank, RankedEntry, Top
from service.boards.version_waits import NOT_YET_VISIBLE
from service.contract.answers import Answer, PendingAnswer
from service.contract.problems import INVALID_CURSOR, PERIOD_EXPIRED, PERIOD_NOT_FOUND, Rejected

POLL_S: Final = 0.005
"""The pause between two looks at the period that Redis shows."""
PERIODS_MOST: Final = 64
"""Periods whose hidden standings a worker remembers."""

_encode = msgspec.json.Encoder().encode


class Past(msgspec.Struct, frozen=True):
    """A period that has ended: its state, whether it has standings, and whether it is final.

    `standing` is the position, rank, id, score, columns and version of the player that was asked for with it, or None.
    It counts only if there are standings: they may be being written anew. `hidden` are the standings that are not
    shown. Positions are those that are shown, but for what `PastBoards.read_standings` takes and gives.
    """

    state: BoardState
    number: int
    has_standings: bool
    is_final: bool
    standing: tuple[Any, ...] | None = None
    hidden: HiddenPositions = ALL_SHOWN


class PastBoards:
    """The reads of one worker that name a period. Each has `deadline_s` seconds for Redis to show it.

    Every read raises `SeasonNotFound`, `Rejected` for a period that is not there, `StoreUnavailable`,
    `ServerUnreachable`, and for the current period what the read of a current board raises.
    """

    def __init__(
        self, reads: ReadConnection, run_metadata: RunMetadata, redis: AsyncRedis, keys: Keyspace, deadline_s: float
    ) -> None:
        self._read: Final = reads.read
        self._run_metadata: Final = run_metadata
        self._redis: Final = redis
        self._keys: Final = keys
        self._deadline_s: Final = deadline_s
        self._loop: Final = asyncio.get_running_loop()
        self._hidden: Final[dict[tuple[int, int], tuple[HiddenPositions, int]]] = {}

    async def read_top(
        self,
        season: str,
        number: int,
        limit: int,
        offset: int,
        cursor: Cursor | None,
        live: Callable[[], PendingAnswer],
    ) -> Answer:
        """Read the best `limit` players after the first `offset`, or behind the row of a cursor (`Top`)."""

        async def read(past: Past) -> Answer:
            state = past.state
            ahead = offset if cursor is None else await self._count_until(past, cursor)
            rows = await self.read_rows(past, ahead + 1, ahead + limit)
            following = None
            if len(rows) == limit and ahead + limit < state.total:
                _, _, user, score, run, reached = rows[-1]
                stored = turn(score, order_of(state.period))
                following = encode_row(season, state.period, stored, reached, user, run or b"")
            entries = make_entries(state, rows)
            return state.make_answer(_encode(Top(season, entries, state.total, following, state.as_of, number)))

        return await self.read_steadily(season, number, live, read)

    async def read_rank(
        self,
        season: str,
        number: int,
        user: str,
        version: int | None,
        metadata: bool,
        live: Callable[[], PendingAnswer],
    ) -> Answer:
        """Read a player's final rank (`PlayerRank`), with the `metadata` of the run that counts if they are asked for.

        Raises also `PlayerNotFound`.
        """

        async def read(past: Past) -> Answer:
            state = past.state
            _, rank, _, score, columns, reached = await self._find_player(past, user, version)
            percentile = percentile_of(rank - 1, state.total)
            runs = show_columns(state, columns)
            shown = PlayerRank(
                season, user, rank, score, reached, state.total, percentile, state.as_of, runs, period=number
            )
            if metadata:
                found = await self._run_metadata.find(state.period, user, reached)
                return Answer(200, _encode(msgspec.structs.replace(shown, metadata=found)))
            return state.make_answer(_encode(shown))

        return await self.read_steadily(season, number, live, read, user)

    async def read_around(
        self,
        season: str,
        number: int,
        user: str,
        side: int,
        fill: bool,
        version: int | None,
        live: Callable[[], PendingAnswer],
    ) -> Answer:
        """Read a player among the neighbours (`Around`). Raises also `PlayerNotFound`."""

        async def read(past: Past) -> Answer:
            place, *_ = await self._find_player(past, user, version)
            first, last = place_window(place - side, 2 * side + 1, past.state.total, fill)
            items = await self._window(past, first, last)
            shown = Around(seasonId=season, userId=user, range=side, items=items, **describe(past))
            return past.state.make_answer(_encode(shown))

        return await self.read_steadily(season, number, live, read, user)

    async def read_place(
        self, season: str, number: int, score: int, side: int, fill: bool, live: Callable[[], PendingAnswer]
    ) -> Answer:
        """Read the rank of a new row with this score, and the players around it (`Around`)."""

        async def read(past: Past) -> Answer:
            state = past.state
            stored = turn(score, order_of(state.period))
            ahead = await self._count_from(past, stored)
            rank = ahead
            # A score without columns equals no row that has some.
            if state.shares and not state.columns:
                rank = 0 if stored == INT64_MAX else await self._count_from(past, stored + 1)
            items = await self._window(past, *place_window(ahead + 1 - side, 2 * side, state.total, fill))
            shown = Around(seasonId=season, score=score, rank=rank + 1, range=side, items=items, **describe(past))
            return state.make_answer(_encode(shown))

        return await self.read_steadily(season, number, live, read)

    async def read_count(self, season: str, number: int, live: Callable[[], PendingAnswer]) -> Answer:
        """Count the players (`Count`)."""
        past = await self._find(season, number, live)
        if isinstance(past, Answer):
            return past
        return past.state.make_answer(_encode(Count(season, past.state.total, past.state.as_of, number)))

    async def read_steadily(
        self,
        season: str,
        number: int,
        live: Callable[[], PendingAnswer],
        read: Callable[[Past], Awaitable[Answer]],
        user: str | None = None,
    ) -> Answer:
        """Read a period, again if its standings have become outdated meanwhile: they may be being written anew.

        With a `user` the period comes with this player's standing.

        Final standings never change, and rows are sorted in the statement that reads them.
        """
        past = await self._find(season, number, live, user)
        while isinstance(past, Past):
            answer: Answer | PlayerNotFound | BoardRebuilding
            try:
                answer = await read(past)
            except (PlayerNotFound, BoardRebuilding) as error:
                answer = error
            again = past if past.is_final or not past.has_standings else await self._find(season, number, live, user)
            if isinstance(again, Past) and again.state == past.state and again.has_standings == past.has_standings:
                if not isinstance(answer, Answer):
                    raise answer
                return answer
            past = again
        return past

    async def _find(
        self, season: str, number: int, live: Callable[[], PendingAnswer], user: str | None = None
    ) -> Past | Answer:
        """Find a period; for the current one it is the answer of `live`, which reads Redis."""
        deadline = self._loop.time() + self._deadline_s
        while True:
            rows = await self._read("named_period", {"season": season, "number": number, "user": user})
            if not rows:
                raise SeasonNotFound("there is no such season")
            current, period, is_kept, is_current, has_standings, players, ranking, late, is_final = rows[0][:9]
            named, restricted = rows[0][9:11]
            if number > current:
                raise Rejected(PERIOD_NOT_FOUND.answer)
            if not is_kept:
                raise Rejected(PERIOD_EXPIRED.answer)
            if has_standings or not is_current:
                if players is None:
                    ((players,),) = await self._read("count_players", {"period": period})
                hidden = ALL_SHOWN
                if has_standings and restricted:
                    hidden, restricted = await self._find_hidden(period, late, restricted)
                shares = ranking == RANKINGS["competition"]
                total = players - hidden.count
                state = make_past_state(period, total, late, restricted, shares, read_columns(named))
                position, shared, *row = rows[0][11:]
                found = [] if position is None else [(position, shared if shares else position, *row)]
                standing = next(iter(hidden.show(found)), None)
                return Past(state, number, has_standings, is_final, standing, hidden)
            # The board may be replaced by that of another period at any time: it is this one's if Redis shows this
            # period before and after.
            if await self._shows(season, period):
                answer = await live()
                if await self._shows(season, period):
                    named = b',"period":%d}' % number
                    if answer.body.endswith(named):
                        return answer
                    return msgspec.structs.replace(answer, body=answer.body[:-1] + named)
            if self._loop.time() >= deadline:
                raise BoardRebuilding("the board of this period is not shown yet")
            await asyncio.sleep(POLL_S)

    async def _find_hidden(self, period: int, late: int, restricted: int) -> tuple[HiddenPositions, int]:
        """The standings of a period that are not shown, and the number of changes of restrictions that they are of.

        PERF: they are remembered until the next change, of restrictions or of the standings (`late`). Each read asks
        PostgreSQL for the numbers of both.
        """
        known = self._hidden.get((period, late))
        if known is None or known[1] != restricted:
            ((positions, number),) = await self._read("hidden_positions", {"period": period})
            if len(self._hidden) >= PERIODS_MOST:
                self._hidden.clear()
            known = self._hidden[period, late] = (HiddenPositions(positions) if positions else ALL_SHOWN, number)
        return known

    async def read_standings(
        self, past: Past, name: str, twin: str, *, size: int | None = None, **parameters: Any
    ) -> list[Any]:
        """The rows of the query `name` on standings; of its `twin` while there are none.

        Positions are those that are stored. Raises `BoardRebuilding` if they are not `size` rows: the standings are
        being written anew.
        """
        state = past.state
        known = {"period": state.period, "shares": state.shares, "players": state.total + past.hidden.count}
        rows: list[Any] = await self._read(name if past.has_standings else twin, {**known, **parameters})
        if size is not None and len(rows) != size:
            raise BoardRebuilding("the standings of this period are being written anew")
        return rows

    async def _shows(self, season: str, period: int) -> bool:
        """Whether Redis shows this period of the season. Raises `BoardUnavailable`."""
        command = pack((b"HGET", self._keys.periods[partition_of(season)], season.encode()))
        return bool(await self._redis.ask(command) == b"%d" % period)

    async def _find_player(self, past: Past, user: str, version: int | None) -> Any:
        """A player's position, rank, id, score and version; at least this version, if one is given."""
        found = past.standing
        if not past.has_standings:
            state = past.state
            known = {"period": state.period, "shares": state.shares, "user": user}
            found = next(iter(await self._read("ranked_player", known)), None)
        if found is None:
            raise PlayerNotFound("the player is not on this board")
        if version is not None and found[-1] < version:
            raise Rejected(NOT_YET_VISIBLE.answer)
        return found

    async def _count_until(self, past: Past, cursor: Cursor) -> int:
        """The number of players that are not behind a cursor's row. Raises `Rejected` for one of another period."""
        if cursor.period != past.state.period:
            raise Rejected(INVALID_CURSOR.answer)
        return await self._count(past, *cursor.locate())

    async def _count_from(self, past: Past, stored: int) -> int:
        """The number of players with this score, as it is stored, or a better one."""
        return await self._count(past, stored, INT64_MAX, "")

    async def _count(self, past: Past, score: int, reached: int, user: str, run: bytes = b"") -> int:
        """The number of players that are not behind a row; its `score` is the higher the better, `run` its columns."""
        row = {"score": score, "reached": reached, "user": user, "run": run}
        ((until,),) = await self.read_standings(past, "standings_until", "ranked_until", size=1, **row)
        return past.hidden.count_shown(int(until))

    async def _window(self, past: Past, first: int, last: int) -> list[RankedEntry]:
        """The players from one position to another one."""
        return make_entries(past.state, await self.read_rows(past, first, last))

    async def read_rows(self, past: Past, first: int, last: int, size: int | None = None) -> list[Any]:
        """Position, rank, id, score, columns and version of the players from one position to another one."""
        hidden = past.hidden
        begin, end = hidden.find_position(first), hidden.find_position(last)
        stored = None if size is None else size + (end - begin) - (last - first)
        return hidden.show(await self.read_standings(past, "standings", "ranked", size=stored, first=begin, last=end))

    async def read_players(self, past: Past, users: Sequence[str]) -> list[Any]:
        """As `read_rows`, of these players, the best one first."""
        return past.hidden.show(await self.read_standings(past, "standings_of", "ranked_of", users=users))


def place_window(first: int, size: int, total: int, fill: bool) -> tuple[int, int]:
    """The first and last position of a window that begins at `first`, which may be below 1.

    With `fill` it has `size` players if there are as many: more on one side where the other one ends.
    """
    last = first + size - 1
    if fill:
        first = max(1, min(first, total - size + 1))
        last = first + size - 1
    return first, last


def describe(past: Past) -> dict[str, Any]:
    """The members that tell of the whole board."""
    return {"total": past.state.total, "asOf": past.state.as_of, "period": past.number}


def make_entries(state: BoardState, rows: Sequence[Any]) -> list[RankedEntry]:
    """The rows of a window, as they are shown."""
    return [RankedEntry(rank, user, score, show_columns(state, run)) for _, rank, user, score, run, _ in rows]


def make_past_state(
    period: int, players: int, late: int, restricted: int, shares: bool, columns: tuple[Column, ...]
) -> BoardState:
    """The state of the board of a period that has ended. Late submissions and another ranking change it, and so does
    each change of a ban or a hidden player, by `restricted`.
    """
    moderated = f".m{restricted}" if restricted else ""
    as_of = f"{period}.past{late or ''}{SHARED.decode() if shares else ''}{moderated}"
    return make_state("desc", players, as_of, shares, period, columns)


def show_columns(state: BoardState, packed: bytes | None) -> dict[str, int] | msgspec.UnsetType:
    """The columns of a row of PostgreSQL, by name."""
    return msgspec.UNSET if packed is None else unpack_columns(state.columns, packed)
