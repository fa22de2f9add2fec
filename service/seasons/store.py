"""Seasons in PostgreSQL: their definitions, and resets, which write one row for any number of players."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
import psycopg
from msgspec import Raw

from board.audit import Act
from board.columns import sign_columns
from board.errors import InvalidRule, PreconditionFailed, SettingFixed, StoreUnavailable
from board.feeds import check_feeds
from board.partitions import partition_of
from board.periods import Terms, end_period, find_end, find_history, reopen_season, turn_locked_season
from board.pg.connections import connect_async, lifeline, make_write_error
from board.pg.queries import queries
from board.pg.read_connection import ReadConnection
from board.pg.steps import run_steps_async
from board.schedule import find_next_end
from board.season import RANKINGS, RULED, Rule
from service.contract.preconditions import Precondition, always
from service.seasons.definition import check_schedule_of, load_definition, rule_of, store_definition, terms_of
from service.seasons.types import Definition, ListedPeriod, Period, Season, State

Locked = tuple[int, int, int, int, str | None]
"""A season that is locked: its partition, period, revision, fold and columns."""
NAME: Final = "leaderboard-seasons"
"""The name of the connections."""

Change = Callable[[Definition], Definition]
"""From the present definition to the next one. It may raise `InvalidRule`."""


class Found(msgspec.Struct, frozen=True):
    """A season, the revision of its definition (0: it was never defined), and the `period_id` of its period."""

    season: Season
    revision: int
    period: int


class Defined(msgspec.Struct, frozen=True):
    """A season after a change of its definition. `created`: it did not exist before. `partition`: that of its hint.

    `loads`: its segments have changed, and relays have to load them.
    """

    found: Found
    created: bool
    partition: int
    loads: bool


class _FeedsChange(Exception):
    """A change of a definition also changes the feeds."""


class SeasonStore:
    """Seasons in PostgreSQL, each call within `deadline_s` seconds.

    Each change opens a connection: changes are rare, and must not wait for batches. Reads share one, which stays open.
    """

    def __init__(self, database_url: str, deadline_s: float) -> None:
        self._url: Final = database_url
        self._deadline_s: Final = deadline_s
        self._sql: Final = queries()
        self._reads: Final = ReadConnection(database_url, NAME, deadline_s)

    async def close(self) -> None:
        """Close the connection of the reads."""
        await self._reads.close()

    async def reset(self, season: str, act: Act) -> tuple[int, int] | None:
        """End the season's period and begin the next; returns (partition, new period), or None for an unknown season.

        The lock waits for every batch that writes to the old period; later batches see the new one. Raises
        `StoreUnavailable` and `ServerUnreachable` (nothing was written), or `OutcomeUnknown`.
        """
        async with self._change() as db:
            if await self._lock(db, season) is None:
                return None
            # An end that has come before is that of a period which is kept.
            while await run_steps_async(db, turn_locked_season(season)):
                pass
            locked = await self._lock(db, season)
            assert locked is not None, "it is locked"
            partition, period, *_ = locked
            before = await self._read_period(db, season)
            created = await (await db.execute(self._sql["reset_season"], {"period": period})).fetchone()
            if created is None:
                raise StoreUnavailable("the season could not be reset")
            after = await self._read_period(db, season)
            await self._note(db, act.note("season.empty", "season", season, before, after))
        return partition, created[0]

    async def end_period(self, season: str, act: Act) -> tuple[int, int, Found] | None:
        """End the season's period by hand, keep it, and begin the next; None for an unknown season.

        Returns partition, new period, and the season. Raises `PeriodClosed`, and as `reset` does.
        """
        async with self._change() as db:
            if await self._lock(db, season) is None:
                return None
            while await run_steps_async(db, turn_locked_season(season)):
                pass
            before = await self._read_period(db, season)
            await run_steps_async(db, end_period(season))
            locked = await self._lock(db, season)
            changed = await (await db.execute(self._sql["season"], {"season": season})).fetchone()
            assert locked is not None, "it is locked"
            partition, period, *_ = locked
            after = await self._read_period(db, season)
            await self._note(db, act.note("season.end-period", "season", season, before, after))
        return partition, period, make_found(changed)

    async def define(
        self, season: str, change: Change, act: Act, allows: Precondition = always, *, create: bool = True
    ) -> Defined | None:
        """Change a season's definition. `create` makes a season that does not exist; otherwise it is None.

        The lock waits for every batch that writes to the season; later batches see the new rule. Raises
        `PreconditionFailed` unless `allows` the revision, `SettingFixed`, `InvalidRule`, `InvalidFeeds`; and as `reset`
        does.
        """
        try:
            return await self._define(season, change, act, allows, create=create)
        except _FeedsChange:
            return await self._define(season, change, act, allows, create=create, may_feed=True)

    async def _define(
        self, season: str, change: Change, act: Act, allows: Precondition, *, create: bool, may_feed: bool = False
    ) -> Defined | None:
        """As `define`. Raises `_FeedsChange` for other feeds, unless it `may_feed`: their lock comes first."""
        async with self._change() as db:
            if may_feed:
                await db.execute(self._sql["lock_feeds"])
            existed = True
            if create:
                parameters = {"seasons": [season], "partitions": [partition_of(season)]}
                existed = await (await db.execute(self._sql["create_seasons"], parameters)).fetchone() is not None
            row = await self._lock(db, season)
            if row is None:
                return None
            partition, _, revision, *_ = row
            # Of two callers that create a season, one finds it here with a revision.
            created = not existed and revision == 0
            if not allows(None if created else revision):
                raise PreconditionFailed("the season is not in the state that the change is based on")
            # The old definition holds for ends that have come.
            while await run_steps_async(db, turn_locked_season(season)):
                pass
            held = await (await db.execute(self._sql["turning_season"], {"season": season})).fetchone()
            assert held is not None, "it is locked"
            _, ends_at, closed, _, text, now = held
            before = load_definition(text)
            definition = change(before)
            check_schedule_of(definition, before, now)
            if definition.feeds != before.feeds:
                if not may_feed:
                    raise _FeedsChange
                await self._check_feeds(db, season, definition.feeds)
            terms = terms_of(definition)
            if (terms.schedule, terms.opensAt) != (before.schedule, before.opensAt):
                ends_at = find_end(terms, now)
                if closed:
                    await run_steps_async(db, reopen_season(season, terms))
                    closed = False
            await self._change_fold(db, season, terms, has_ended=closed)
            parameters = {
                "season": season,
                "definition": store_definition(definition),
                "ranking": RANKINGS[definition.ranking],
                "ruled": rule_of(definition) != Rule() or terms.schedule is not None or bool(definition.feeds),
                "feeds": [*definition.feeds],
                "segments": ",".join(definition.segments) or None,
                "low": definition.bounds.min,
                "high": definition.bounds.max,
                "opens_at": definition.opensAt,
                "ends_at": ends_at,
                "closed": closed,
                "scheduled": terms.schedule is not None,
                "is_public": definition.visibility == "public",
            }
            await db.execute(self._sql["define_season"], parameters)
            if definition.keepPeriods not in (None, before.keepPeriods):
                await db.execute(self._sql["keep_last_periods"], {"season": season, "keep": definition.keepPeriods})
            changed = await (await db.execute(self._sql["season"], {"season": season})).fetchone()
            was = None if created else Raw(store_definition(before))
            now_is = Raw(store_definition(definition))
            await self._note(db, act.note("season.define", "season", season, was, now_is))
        return Defined(make_found(changed), created, partition, definition.segments != before.segments)

    async def _note(self, db: psycopg.AsyncConnection[Any], noted: tuple[str, dict[str, Any]]) -> None:
        """Note an act, in its transaction."""
        name, parameters = noted
        await db.execute(self._sql[name], parameters)

    async def _read_period(self, db: psycopg.AsyncConnection[Any], season: str) -> dict[str, Any]:
        """The current period of a season that is locked, as the audit has it."""
        found = make_found(await (await db.execute(self._sql["season"], {"season": season})).fetchone())
        return {"period": found.season.period}

    async def _check_feeds(self, db: psycopg.AsyncConnection[Any], season: str, feeds: tuple[str, ...]) -> None:
        """After `lock_feeds`. Raises `InvalidFeeds`."""
        if feeds:
            graph = dict(await (await db.execute(self._sql["all_feeds"])).fetchall())
            missing = await (await db.execute(self._sql["missing_seasons"], {"seasons": [*feeds]})).fetchall()
            check_feeds(season, feeds, graph, [name for (name,) in missing])

    async def _lock(self, db: psycopg.AsyncConnection[Any], season: str) -> Locked | None:
        """Lock a season: its partition, period, revision, fold, columns; None for an unknown one."""
        found: Locked | None = await (await db.execute(self._sql["lock_season"], {"season": season})).fetchone()
        return found

    async def _change_fold(
        self, db: psycopg.AsyncConnection[Any], season: str, terms: Terms, *, has_ended: bool
    ) -> None:
        """Give the period fold and columns of these terms. Raises `SettingFixed` if it has submissions, or has ended.

        A period that has submissions keeps its fold where that tells only whether there is a schedule.
        """
        locked = await self._lock(db, season)
        assert locked is not None, "it is locked"
        _, period, _, held, named = locked
        fold, columns = terms.fold, sign_columns(terms.columns)
        if (fold, columns) == (held, named):
            return
        has_rows = await (await db.execute(self._sql["season_has_rows"], {"period": period})).fetchone()
        if has_rows is None or has_rows[0] or has_ended:
            if {fold, held} == {0, RULED}:
                return
            raise SettingFixed("operator, order and columns are fixed: the period has submissions, or has ended")
        dropped = await (await db.execute(self._sql["drop_period"], {"period": period})).fetchone()
        if dropped is None:
            raise StoreUnavailable("the season has lost its period")
        number, started_at = dropped
        parameters = {"season": season, "fold": fold, "columns": columns, "number": number, "started_at": started_at}
        await db.execute(self._sql["begin_period"], parameters)

    async def find(self, season: str) -> Found | None:
        """Find a season; None for an unknown one. Raises `StoreUnavailable` and `ServerUnreachable`."""
        rows = await self._reads.read("season", {"season": season})
        return make_found(rows[0]) if rows else None

    async def list_after(self, after: str, limit: int, state: State | None) -> list[Found]:
        """List the next `limit` seasons by name after `after`, in one state or in any. Raises as `find` does."""
        rows = await self._reads.read("seasons", {"after": after, "limit": limit, "state": state})
        return [make_found(row) for row in rows]

    async def list_periods(self, season: str, below: int, limit: int) -> list[ListedPeriod] | None:
        """List `limit` periods of a season, from the number `below` down; None for an unknown season.

        Raises as `find` does."""
        rows = await self._reads.read("listed_periods", {"season": season, "below": below, "limit": limit})
        if not rows and not await self._reads.read("season", {"season": season}):
            return None
        return [ListedPeriod(*row) for row in rows]

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A transaction on a connection of its own, committed at the end of the block."""
        connection = await self._open()
        try:
            with lifeline(connection, self._deadline_s):
                await run_steps_async(connection, find_history())
                async with connection.transaction():
                    yield connection
        except psycopg.Error as error:
            raise make_write_error(error, connection) from error
        finally:
            await connection.close()

    async def _open(self) -> psycopg.AsyncConnection[Any]:
        session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
        return await connect_async(self._url, NAME, session=session, timeout_s=self._deadline_s, writes=True)


def make_found(row: Any) -> Found:
    """A season of a row of the queries `season` and `seasons`."""
    season, revision, text, number, started_at, ends_at, state, full, period_id = row
    d = load_definition(text)
    starts_at = started_at if d.opensAt is None else max(started_at, d.opensAt)
    period = Period(number, starts_at, ends_at, state)
    following = None
    if d.schedule is not None and ends_at is not None:
        # A season whose time zone this machine does not know is shown all the same, and so are the others of a list.
        with suppress(InvalidRule):
            following = find_next_end(d.schedule, ends_at)
    members = {name: getattr(d, name) for name in d.__struct_fields__}
    return Found(
        Season(seasonId=season, period=period, nextEndsAt=following, fullSegments=full or msgspec.UNSET, **members),
        revision,
        period_id,
    )
