"""The intake's statements, on one PostgreSQL connection."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import Any, Final

import psycopg

from _speedups import pack_int8_array, pack_text_array
from board.errors import OutcomeUnknown
from board.partitions import partition_of
from board.periods import find_history, turn_season
from board.pg.arrays import Int8Array, TextArray, adapt_arrays
from board.pg.connections import connect_async, first_line, is_open, lifeline, make_write_error
from board.pg.queries import queries
from board.pg.steps import run_steps_async
from service.submissions.columns import ColumnMemory
from service.submissions.item import Counted, Item
from service.submissions.origins import VERSIONS_MOST, Origins

(
    WRITTEN,
    NO_SEASON,
    OUT_OF_RANGE,
    REPLAYED,
    KEY_REUSED,
    KEY_TWICE,
    WRONG_OPERATOR,
    OUT_OF_BOUNDS,
    NOT_OPEN,
    OUTDATED,
    DUE,
    CLOSED,
    MISFIT,
    AT_THE_EDGE,
    REFITTED,
) = range(15)
"""The statuses of a submission in the rows of `submit` and `submit_by_rule`; see the queries. `AT_THE_EDGE`: the short
text has not written it, since its player is near the end of int64, or banned. The item must be sent again, marked as
`edge`.
`REFITTED`: the season's columns were not known, and the item fits them. It must be sent again.
"""

FEEDS, TOO_NEW, NO_PERIOD, PERIOD_GONE, HAS_MORE, BANNED, RESTRICTED = range(20, 27)
"""Further ones. `FEEDS`: the season feeds others, so only the full text writes the item. `HAS_MORE`: only the statement
by rule has the whole first answer. `RESTRICTED`: a player is banned or hidden, so only a moderated text writes the
item. The next statement of the connection is one.
"""

MODERATED_S: Final = 60.0
"""For so long a connection uses the moderated texts, before it tries whether it still needs them."""

PLAIN: Final = ("submit_short", "submit", "submit_keyed", "submit_traced")
PLAIN_DEFINED: Final = ("submit_short_defined", "submit_defined", "submit_keyed_defined", "submit_traced_defined")
PLAIN_MODERATED: Final = (
    *("submit_short_moderated", "submit_moderated"),
    *("submit_keyed_moderated", "submit_traced_moderated"),
)
PLAIN_MODERATED_DEFINED: Final = (
    *("submit_short_moderated_defined", "submit_moderated_defined"),
    *("submit_keyed_moderated_defined", "submit_traced_moderated_defined"),
)
BY_RULE: Final = (
    *("submit_by_rule", "submit_by_rule_keyed", "submit_by_rule_traced"),
    *("submit_by_rule_extra", "submit_by_rule_columned", "submit_by_rule_full"),
    *("submit_by_rule_once", "submit_by_rule_once_columned"),
)
BY_RULE_DEFINED: Final = (
    *("submit_by_rule_defined", "submit_by_rule_keyed_defined", "submit_by_rule_traced_defined"),
    *("submit_by_rule_extra_defined", "submit_by_rule_columned_defined", "submit_by_rule_full_defined"),
    *("submit_by_rule_once_defined", "submit_by_rule_once_columned_defined"),
)
BY_RULE_MODERATED: Final = (
    *("submit_by_rule_moderated", "submit_by_rule_keyed_moderated"),
    *("submit_by_rule_traced_moderated", "submit_by_rule_extra_moderated"),
    *("submit_by_rule_columned_moderated", "submit_by_rule_full_moderated"),
    *("submit_by_rule_once_moderated", "submit_by_rule_once_columned_moderated"),
)
BY_RULE_MODERATED_DEFINED: Final = (
    *("submit_by_rule_moderated_defined", "submit_by_rule_keyed_moderated_defined"),
    *("submit_by_rule_traced_moderated_defined", "submit_by_rule_extra_moderated_defined"),
    *("submit_by_rule_columned_moderated_defined", "submit_by_rule_full_moderated_defined"),
    *("submit_by_rule_once_moderated_defined", "submit_by_rule_once_columned_moderated_defined"),
)
"""The texts of each statement: without keys and traces, with keys, with both, and by rule also with metadata, then with
columns, then with fed seasons and named periods. The last two are for batches without keys and traces, with each player
once in a season. The first plain one is the short text. The moderated ones look for bans of the batch's players."""

NOTHING: Final[Counted] = (0, 0, None, None, None, None)
"""The figures of a submission that does not count."""

TORN: Final = "LB001"
"""The SQLSTATE of `submissions_torn` (0013_pre_feeds.sql)."""
READ_ONLY: Final = "25006"
"""The SQLSTATE of a change in a session that accepts none."""


def make_session_settings(deadline_s: float) -> dict[str, str]:
    """PostgreSQL's settings for a connection of the intake."""
    return {
        "statement_timeout": f"{int(deadline_s * 1000)}ms",
        "jit": "off",
        "plan_cache_mode": "force_generic_plan",
        # PERF: the statement joins the batch's own small sets. The only bad plan is a nested loop over 1,000 x 1,000
        # rows, and PostgreSQL's estimates for a function's rows do not rule it out.
        "enable_nestloop": "off",
    }


_user_of: Final = attrgetter("user")
_row_of: Final = attrgetter("season", "user")


def is_short(batch: list[Item]) -> bool:
    """Whether the short text writes this batch: one season, every player once, and nothing that needs another text."""
    season = batch[0].season
    for item in batch:
        if item.season != season or item.by_rule or item.digest or item.trace or item.edge:
            return False
    return len(set(map(_user_of, batch))) == len(batch)


class NotWritten(Exception):
    """PostgreSQL rolled the statement back for a temporary reason; nothing was written."""


class StatementRejected(Exception):
    """PostgreSQL rejected a value in the statement; nothing was written."""


class IdempotencyConflict(Exception):
    """A concurrent batch used an idempotency key of this batch; nothing was written. The next attempt finds the key."""


class SubmissionsTorn(Exception):
    """Submissions would have counted in a part of the seasons that they feed; nothing was written.

    `torn` are their places in the batch, from 0, each with the status that the submission would have alone.
    """

    def __init__(self, places: str) -> None:
        super().__init__(places)
        pairs = (place.split(":") for place in places.split())
        self.torn: Final[dict[int, int]] = {int(place) - 1: int(status) for place, status in pairs}


class Writer:
    """One connection in autocommit mode that runs the intake's statements. Not for concurrent use.

    `only_defined`: seasons that were never defined are not found, and never created. `columns` are those of seasons
    that the writers of an intake have met.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        patience_s: float,
        *,
        only_defined: bool = False,
        columns: ColumnMemory | None = None,
    ) -> None:
        # PostgreSQL cancels a statement at the deadline. No reply long after it means a dead network.
        self._patience_s: Final = patience_s
        self._connection: Final = connection
        self._cursor: Final = connection.cursor(binary=True)
        texts = queries()
        plain, by_rule = (PLAIN_DEFINED, BY_RULE_DEFINED) if only_defined else (PLAIN, BY_RULE)
        self._texts: Final = [texts[name] for name in plain], [texts[name] for name in by_rule]
        plain, by_rule = PLAIN_MODERATED, BY_RULE_MODERATED
        if only_defined:
            plain, by_rule = PLAIN_MODERATED_DEFINED, BY_RULE_MODERATED_DEFINED
        self._moderated: Final = [texts[name] for name in plain], [texts[name] for name in by_rule]
        self._moderated_until = 0.0
        self.only_defined: Final = only_defined
        self.columns: Final = columns or ColumnMemory()
        self._create: Final = texts["create_seasons"]
        self._find: Final = texts["find_defined_seasons"]
        self._find_banned: Final = texts["banned_submissions"]
        self._note: Final = texts["note_origins"]
        self._origins: Final = Origins(self._note_origins)
        self.fed_partitions = 0
        """The partitions with fresh hints of the last statement, if it fed seasons: a bit for each."""

    @classmethod
    async def connect(
        cls, url: str, deadline_s: float, *, only_defined: bool = False, columns: ColumnMemory | None = None
    ) -> Writer:
        """Connect; statements are cancelled after `deadline_s` seconds.

        Raises `ServerUnreachable`, also for a server that accepts no changes.
        """
        session = make_session_settings(deadline_s)
        connection = await connect_async(url, "leaderboard-intake", session=session, writes=True)
        adapt_arrays(connection)
        return cls(connection, 2 * deadline_s + 0.2, only_defined=only_defined, columns=columns)

    @property
    def closed(self) -> bool:
        return self._connection.closed

    def is_open(self) -> bool:
        """Whether the connection, idle until now, is still open (`board.pg.connections.is_open`)."""
        return is_open(self._connection)

    async def close(self) -> None:
        await self._connection.close()

    async def submit(self, batch: list[Item]) -> list[tuple[int, Counted]]:
        """Write a batch with one statement and commit; status and figures of each submission, in order.

        The statuses are those above; the figures count for `WRITTEN` and `REPLAYED` only. Raises `NotWritten`,
        `StatementRejected`, `IdempotencyConflict` and `SubmissionsTorn` (all rolled back), or `OutcomeUnknown`.
        With `DUE` the name of the season that is due is in the place of `skipped`, or None for the submission's own.
        """
        self.fed_partitions = 0
        is_moderated = self._moderated_until > 0 and self._moderated_until > asyncio.get_running_loop().time()
        (short, *plain), by_rules = self._moderated if is_moderated else self._texts
        if is_short(batch):
            return await self._write_short(short, batch)
        parameters: dict[str, Any] = {
            "seasons": TextArray(pack_text_array([item.season for item in batch])),
            "users": TextArray(pack_text_array([item.user for item in batch])),
        }
        # PERF: the statement of plain seasons is shorter and faster. It is used if no item is known to need the other.
        by_rule = any(item.by_rule for item in batch)
        numbers = Int8Array(pack_int8_array([item.number for item in batch]))
        if by_rule:
            parameters["numbers"] = numbers
            parameters["scored"] = Int8Array(pack_int8_array([item.scored for item in batch]))
            origins = await self._origins.find([item.extras.origin for item in batch])
            parameters["origins"] = Int8Array(pack_int8_array(origins))
        else:
            parameters["deltas"] = numbers
        texts = by_rules if by_rule else plain
        # PERF: looking up and inserting keys costs a batch a fifth more, so batches without keys omit it. Batches with
        # a trace, metadata or columns, or that feed or name periods, run a longer statement, with or without keys.
        is_full = by_rule and any(item.full for item in batch)
        has_columns = is_full or (by_rule and any(item.extras.columns for item in batch))
        has_metadata = has_columns or (by_rule and any(item.extras.metadata is not None for item in batch))
        has_keys = any(item.digest or item.trace for item in batch)
        # PERF: without players to fold, a statement by rule takes two thirds of the time.
        is_once = by_rule and not is_full and not has_keys and len({*map(_row_of, batch)}) == len(batch)
        if not has_metadata and not has_keys:
            rows = await self._run(texts[6] if is_once else texts[0], parameters, fetch=True)
            if by_rule:
                return [(self._judge(item, row), (*row[2:7], None)) for item, row in zip(batch, rows, strict=True)]
            self._note_restricted(rows)
            return [(status, (score, version, None, None, None, None)) for _, status, score, version in rows]
        if is_once:
            parameters["metadata"] = TextArray(pack_text_array([item.extras.metadata for item in batch]))
            self._add_columns(batch, parameters)
            rows = await self._run(texts[7], parameters, fetch=True)
            return [(self._judge(item, row), (*row[2:7], None)) for item, row in zip(batch, rows, strict=True)]
        parameters["digests"] = TextArray(pack_text_array([item.digest for item in batch]))
        parameters["prints"] = TextArray(pack_text_array([item.fingerprint for item in batch]))
        query = texts[1]
        if has_metadata or any(item.trace for item in batch):
            query = texts[2]
            parameters["traces"] = TextArray(pack_text_array([item.trace for item in batch]))
        if has_metadata:
            query = texts[3]
            parameters["metadata"] = TextArray(pack_text_array([item.extras.metadata for item in batch]))
        if has_columns:
            query = texts[4]
            self._add_columns(batch, parameters)
        if is_full:
            parameters["achieved"] = Int8Array(pack_int8_array([item.extras.achieved for item in batch]))
            parameters["wanted"] = Int8Array(pack_int8_array([item.extras.period for item in batch]))
            return self._read_full(batch, await self._run(texts[5], parameters, fetch=True))
        rows = await self._run(query, parameters, fetch=True)
        if by_rule:
            return [
                (self._judge(item, row), row[8:] if row[1] == REPLAYED else (*row[2:7], None))
                for item, row in zip(batch, rows, strict=True)
            ]
        self._note_restricted(rows)
        return [(row[1], (*(row[4:] if row[1] == REPLAYED else row[2:4]), None, None, None, None)) for row in rows]

    def _add_columns(self, batch: list[Item], parameters: dict[str, Any]) -> None:
        """Add the columns of a batch, in the order of their seasons."""
        named, *values = zip(*map(self.columns.fit, batch), strict=True)
        parameters["named"] = TextArray(pack_text_array(named))
        parameters |= {f"c{at}": Int8Array(pack_int8_array(column)) for at, column in enumerate(values, 1)}

    def _read_full(self, batch: list[Item], rows: list[Any]) -> list[tuple[int, Counted]]:
        """The rows of the full text, as `submit` returns them."""
        found: list[tuple[int, Counted]] = []
        for item, row in zip(batch, rows, strict=True):
            status, skipped, due = self._judge(item, row), row[14], row[15]
            self.fed_partitions = row[16] or 0
            figures = row[8:14] if status == REPLAYED else (*row[2:7], due if status == DUE else skipped)
            found.append((status, figures))
        return found

    def _judge(self, item: Item, row: Any) -> int:
        """The status of a row by rule. Where the columns differ, those of the season are remembered."""
        status: int = row[1]
        if status == RESTRICTED:
            self._note_restricted([row])
        if status == MISFIT:
            self.columns.learn(item.season, row[7])
            if self.columns.fits(item):
                return REFITTED
        return status

    def _note_restricted(self, rows: list[Any]) -> None:
        """Use the moderated texts from now on, if the statement has found that somebody is restricted."""
        if any(row[1] == RESTRICTED for row in rows):
            self._moderated_until = asyncio.get_running_loop().time() + MODERATED_S

    async def _write_short(self, text: bytes, batch: list[Item]) -> list[tuple[int, Counted]]:
        """`submit` for a batch that `is_short`."""
        parameters = {
            "season": batch[0].season,
            "users": TextArray(pack_text_array([item.user for item in batch])),
            "deltas": Int8Array(pack_int8_array([item.number for item in batch])),
        }
        rows = await self._run(text, parameters, fetch=True)
        missing = (AT_THE_EDGE if rows else NO_SEASON, NOTHING)
        found = {user: (WRITTEN, (score, version, None, None, None, None)) for user, score, version in rows}
        return [found.get(item.user, missing) for item in batch]

    async def find_seasons(self, seasons: set[str]) -> dict[str, bool]:
        """Seasons that exist, and whether they need the statement by rule. Those that do not exist are created, each
        with its first period, unless only defined ones count.

        Raises `NotWritten`, `StatementRejected`, `OutcomeUnknown`.
        """
        names = sorted(seasons)
        if self.only_defined:
            return dict(await self._run(self._find, {"seasons": names}, fetch=True))
        parameters = {"seasons": names, "partitions": [partition_of(name) for name in names]}
        return dict.fromkeys(names, False) | dict(await self._run(self._create, parameters, fetch=True))

    async def find_banned(self, items: list[Item]) -> list[Item]:
        """Those of these items whose players are banned. Raises as `find_seasons` does."""
        asked = {"seasons": [item.season for item in items], "users": [item.user for item in items]}
        return [items[place] for (place,) in await self._run(self._find_banned, asked, fetch=True)]

    async def _note_origins(self, keys: list[str], versions: list[str]) -> list[Any]:
        """Rows of `note_origins`. Raises `NotWritten` and `StatementRejected`."""
        try:
            return await self._run(self._note, {"keys": keys, "versions": versions, "most": VERSIONS_MOST}, fetch=True)
        except OutcomeUnknown as error:
            # The submissions have not been sent yet.
            raise NotWritten(str(error)) from error
        except IdempotencyConflict as error:
            raise NotWritten(str(error)) from error

    async def turn_season(self, season: str) -> None:
        """Turn a season whose period's end has come, in a transaction of its own: `TURNS_MOST` ends at most.

        Raises `InvalidRule` (this machine does not know the season's time zone), and as `find_seasons` does.
        """
        try:
            with lifeline(self._connection, self._patience_s):
                await run_steps_async(self._connection, find_history())
                async with self._connection.transaction():
                    await run_steps_async(self._connection, turn_season(season))
        except psycopg.Error as error:
            raise await self._explain(error) from error

    async def _run(self, query: bytes, parameters: dict[str, Any], *, fetch: bool = False) -> list[Any]:
        try:
            with lifeline(self._connection, self._patience_s):
                await self._cursor.execute(query, parameters, prepare=True)
                return await self._cursor.fetchall() if fetch else []
        except psycopg.Error as error:
            raise await self._explain(error) from error

    async def _explain(self, error: psycopg.Error) -> Exception:
        """The error to raise for one of psycopg."""
        meaning = make_write_error(error, self._connection)
        if isinstance(meaning, OutcomeUnknown):
            return meaning
        text, state = first_line(error), error.sqlstate or ""
        if state == READ_ONLY:
            # The server has become a standby, or read-only. A new connection finds one that accepts changes.
            await self._connection.close()
            return NotWritten(text)
        if state == TORN:
            return SubmissionsTorn(error.diag.message_detail or "")
        if state == "23505":
            return IdempotencyConflict(text)
        if state[:2] in ("22", "23", "42"):
            return StatementRejected(text)
        return NotWritten(text)
